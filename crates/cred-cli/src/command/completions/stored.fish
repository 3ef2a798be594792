
# Completes stored paths, for the profile and the configuration of the command line.
function __fish_cred_stored
    set -l words (commandline -opc)
    set -e words[1]
    set -l list $argv
    argparse -i p/profile= config= -- $words 2>/dev/null
    set -q _flag_profile; and set -a list --profile $_flag_profile
    set -q _flag_config; and set -a list --config $_flag_config
    set -l word (commandline -ct)
    # For NAME=PATH. In --scope=SCOPE, fish itself keeps the option.
    set -l head (string match -r '^[^-=][^=]*=' -- $word)
    cred complete-paths $list -- (string replace -r '^[^=]*=' '' -- $word) 2>/dev/null </dev/null | string replace -r '^' "$head"
end

complete -c cred -n "__fish_cred_using_subcommand @PATHS@" -f -a "(__fish_cred_stored)"
complete -c cred -n "__fish_cred_using_subcommand @DELETED@" -f -a "(__fish_cred_stored --deleted)"
complete -c cred -n "__fish_cred_using_subcommand @SCOPES@" -f -a "(__fish_cred_stored --scopes)"
complete -c cred -n "__fish_cred_using_subcommand @SCOPED@" -l scope -x -a "(__fish_cred_stored --scopes)"
complete -c cred -n "__fish_cred_using_subcommand run" -l env -x -a "(__fish_cred_stored)"
