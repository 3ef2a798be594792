# Installs ./requirements.txt into a virtual environment, for a program that is a Python module, and
# what ./package-lock.json pins, if there is one.
# Usage: pip.sh FOLDER NAME PACKAGE MODULE
set -eu
python3 -m venv "$1/venv"
"$1/venv/bin/python" -m pip install --disable-pip-version-check --requirement requirements.txt
if [ -f package-lock.json ]; then
  # Packages of npm that the module runs: they are found beside the virtual environment.
  cp package.json package-lock.json "$1/"
  npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund
fi
"$1/venv/bin/python" -c "import importlib.metadata as m; print(m.version('$3'))" > "$1/version"
# Not the scripts that pip writes: they contain the path of FOLDER, which is renamed.
mkdir "$1/bin"
cat > "$1/bin/$2" <<END
#!/bin/sh
exec "\${0%/*}/../venv/bin/python" -m $4 "\$@"
END
chmod +x "$1/bin/$2"
