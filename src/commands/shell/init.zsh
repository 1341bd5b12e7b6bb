# authsome in an interactive zsh: a mark in the prompt of a run; elsewhere agents start in a run.
if [[ -o interactive ]]; then
  if [[ -n ${AUTHSOME_RUN-} ]]; then
    __authsome_mark() {
      [[ $PROMPT == *'(authsome)'* ]] || PROMPT="(authsome) $PROMPT"
      # Themes set the prompt in hooks of their own: from now on after them.
      precmd_functions=(${precmd_functions:#__authsome_mark} __authsome_mark)
    }
    typeset -ga precmd_functions
    precmd_functions=(${precmd_functions:#__authsome_mark} __authsome_mark)
  else
    __authsome_wrap() {
      emulate -L zsh
      local name=$1 program=$1
      if (( ${+aliases[$name]} )); then
        program=${aliases[$name]/#\~\//$HOME/}
        if ! whence -p -- "$program" >/dev/null; then
          print -u2 -r -- "authsome: $name is an alias and stays as it is: no run is started for it"
          return
        fi
        unalias -- "$name"
      elif (( ${+functions[$name]} )) && [[ ${functions[$name]} != *'authsome run --'* ]]; then
        print -u2 -r -- "authsome: $name is a function and stays as it is: no run is started for it"
        return
      fi
      functions[$name]="command authsome run -- ${(q)program} \"\$@\""
    }
    for __authsome_name in @PROGRAMS@; do
      __authsome_wrap "$__authsome_name"
    done
    unfunction __authsome_wrap
    unset __authsome_name
  fi
fi
