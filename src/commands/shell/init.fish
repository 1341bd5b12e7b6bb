# authsome in an interactive fish: a mark in the prompt of a run; elsewhere agents start in a run.
if status is-interactive
    if set -q AUTHSOME_RUN
        if not functions -q __authsome_prompt
            functions -c fish_prompt __authsome_prompt
            function __authsome_status
                return $argv[1]
            end
            function fish_prompt
                set -l last $status
                printf '(authsome) '
                # Prompts show the status of the last command.
                __authsome_status $last
                __authsome_prompt
            end
        end
    else
        for name in @PROGRAMS@
            if functions -q $name; and not functions $name | string match -q '*authsome run --*'
                echo "authsome: $name is a function and stays as it is: no run is started for it" >&2
            else
                function $name --inherit-variable name --description 'In a run of authsome'
                    command authsome run -- $name $argv
                end
            end
        end
    end
end
