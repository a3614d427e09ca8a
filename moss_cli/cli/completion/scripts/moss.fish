# Completion of moss for fish. `moss completions install fish` puts it where fish looks.

function __moss_complete
    set -l words (commandline -opc)
    set -l raw (commandline -ct)
    set -l typed (string unescape -- $raw; or string trim -l -c '\'"' -- $raw)
    set -l program (string replace -r '^~(?=/)' $HOME -- $words[1])
    set -l reply (_MOSS_COMPLETE=fish $program $words[2..-1] "$typed" 2>/dev/null </dev/null)
    set -l told (string split \t -- $reply[1])
    test (count $told) = 3; or return
    for line in $reply[2..-1]
        echo -- $line
    end
    test $told[1] != none; or return
    # What is no part of the path is taken off before it is completed, and put in front of what is found.
    set -l before (string sub -l $told[2] -- "$raw")
    set -l path (string sub -s (math $told[2] + 1) -- "$raw")
    set -l files (complete -C "__fish_command_without_completions $path")
    set -l wanted $files
    switch $told[1]
        case folders
            set wanted (string match -r '^[^\t]*/(?:\t.*)?$' -- $files)
        case audio
            set wanted (string match -r '(?i)^[^\t]*(?:/|\.(?:'$told[3]'))(?:\t.*)?$' -- $files)
            test -n "$wanted"; or set wanted $files
    end
    for file in $wanted
        echo -- $before$file
    end
end

complete -c moss -f -k -a '(__moss_complete)'
