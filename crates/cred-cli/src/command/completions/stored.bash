
# Completes stored paths and scopes, where the command line expects one.
_cred() {
    local at=$COMP_CWORD word="${COMP_WORDS[COMP_CWORD]}" command="" head="" skip="" last value i path
    local is_stored="" options=()
    # Bash splits words at `:` and `=`.
    while ((at > 1)) && [[ ${COMP_WORDS[at]} == [:=]* || ${COMP_WORDS[at - 1]} == *[:=] ]]; do
        at=$((at - 1))
        word="${COMP_WORDS[at]}$word"
    done
    [[ $word == "${COMP_WORDS[COMP_CWORD]}" ]] || skip="${word%"${word##*[:=]}"}"
    for ((i = 1; i < at; i++)); do
        case "${COMP_WORDS[i]}" in
            --) break ;;
            -p | --profile | --config)
                value="${COMP_WORDS[i + 1]}"
                [[ $value != = ]] || value="${COMP_WORDS[i + 2]}"
                options+=("${COMP_WORDS[i]}" "$value")
                ;;
            @COMMANDS@) : "${command:=${COMP_WORDS[i]}}" ;;
        esac
    done
    last="${COMP_WORDS[at - 1]}"
    if ((i < at)); then
        : # The command that `cred run` starts.
    elif [[ $last == --scope || $word == --scope=* ]]; then
        is_stored=1 options+=(--scopes)
        [[ $last == --scope ]] || head=--scope=
    elif [[ $last == --env && $word == *=* || $word == --env=*=* ]]; then
        is_stored=1 head="${word%"${word##*=}"}"
    elif [[ $word != -* && ! $last =~ ^(@VALUED@)$ ]]; then
        case "$command" in
            @PATHS@) is_stored=1 ;;
            @DELETED@) is_stored=1 options+=(--deleted) ;;
            @SCOPES@) is_stored=1 options+=(--scopes) ;;
        esac
    fi
    if [[ -z $is_stored ]]; then
        _cred_static "$@"
        return
    fi
    COMPREPLY=()
    while IFS= read -r path; do
        path="$head$path"
        COMPREPLY+=("${path#"$skip"}")
    done < <("$1" complete-paths ${options[@]+"${options[@]}"} -- "${word#"$head"}" 2>/dev/null </dev/null)
}

