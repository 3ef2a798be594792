# Builds a program of the module graph in ./go.mod.
# Usage: go.sh FOLDER NAME MODULE /PATH/OF/PACKAGE
set -eu
unset GOFLAGS
export GOWORK=off
go build -v -buildvcs=false -ldflags='-s -w' -o "$1/bin/$2" "$3$4"
go list -m -f '{{.Version}}' "$3" | sed 's/^v//' > "$1/version"
