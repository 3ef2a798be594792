# Completes stored paths, for the profile and the configuration of the command line.
_cred_stored() {
    local -a line options found
    local at
    line=(${(z)LBUFFER})
    line=("${(@)line[${line[(I)(*/|)cred]},-1]}")
    for (( at = 2; at < $#line; at++ )); do
        case $line[at] in
            -p|--profile|--config) options+=("$line[at]" "${(Q)line[at+1]}") ;;
            --profile=*|--config=*) options+=("${(Q)line[at]}") ;;
        esac
    done
    found=(${(f)"$(command cred complete-paths $options $@ -- "$PREFIX" 2>/dev/null </dev/null)"})
    compadd -a found
}

_cred_paths() {
    _cred_stored
}

_cred_deleted() {
    _cred_stored --deleted
}

_cred_scopes() {
    _cred_stored --scopes
}

# NAME=PATH
_cred_named() {
    compset -P '*=' && _cred_stored
}

