# Installs ./requirements.txt into a virtual environment, for a program that is a Python module.
# Usage: pip.sh FOLDER NAME PACKAGE MODULE
set -eu
python3 -m venv "$1/venv"
"$1/venv/bin/python" -m pip install --disable-pip-version-check --requirement requirements.txt
"$1/venv/bin/python" -c "import importlib.metadata as m; print(m.version('$3'))" > "$1/version"
# Not the scripts that pip writes: they contain the path of FOLDER, which is renamed.
mkdir "$1/bin"
cat > "$1/bin/$2" <<END
#!/bin/sh
exec "\${0%/*}/../venv/bin/python" -m $4 "\$@"
END
chmod +x "$1/bin/$2"
