# Completion of moss for bash 4 and newer. `moss completions install bash` puts it where bash-completion looks.

_moss() {
    local -a reply
    mapfile -t reply < <(_MOSS_COMPLETE=bash "${1/#\~/$HOME}" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
    COMPREPLY=("${reply[@]:1}")
    if [[ ${reply[0]-} == files ]]; then
        compopt -o filenames
    elif ((${#COMPREPLY[@]})); then
        mapfile -t COMPREPLY < <(printf '%q\n' "${COMPREPLY[@]}")
    fi
}

complete -F _moss moss
