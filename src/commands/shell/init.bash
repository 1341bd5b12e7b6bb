# authsome in an interactive bash: a mark in the prompt of a run; elsewhere agents start in a run.
if [[ $- == *i* ]]; then
  if [[ -n ${AUTHSOME_RUN-} ]]; then
    __authsome_mark() {
      [[ ${PS1-} == *'(authsome)'* ]] || PS1="(authsome) ${PS1-}"
    }
    # After whatever else sets the prompt. It can be an array since bash 5.1.
    if [[ ${PROMPT_COMMAND[*]-} != *__authsome_mark* ]]; then
      if [[ $(declare -p PROMPT_COMMAND 2>/dev/null) == 'declare -a'* ]]; then
        PROMPT_COMMAND+=(__authsome_mark)
      else
        PROMPT_COMMAND="${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}__authsome_mark"
      fi
    fi
  else
    __authsome_wrap() {
      local name=$1 program=$1 body
      if alias -- "$name" &>/dev/null; then
        program=${BASH_ALIASES[$name]/#'~/'/$HOME/}
        if ! type -P -- "$program" >/dev/null; then
          echo "authsome: $name is an alias and stays as it is: no run is started for it" >&2
          return
        fi
        unalias -- "$name"
      elif body=$(declare -f -- "$name") && [[ $body != *'authsome run --'* ]]; then
        echo "authsome: $name is a function and stays as it is: no run is started for it" >&2
        return
      fi
      printf -v program %q "$program"
      eval "function $name { command authsome run -- $program \"\$@\"; }"
    }
    for __authsome_name in @PROGRAMS@; do
      __authsome_wrap "$__authsome_name"
    done
    unset -f __authsome_wrap
    unset -v __authsome_name
  fi
fi
