# eval "$(python -m pipeline -sc install=bash)"
# Hydra completes `python FILE`, but not `python -m`; the words come from Hydra all the same.
_complete_pipeline() {
    case $COMP_LINE in *"-m pipeline "*) ;; *) return ;; esac
    local line="pipeline ${COMP_LINE#*-m pipeline }"
    local words
    words=$(COMP_LINE=$line COMP_POINT=${#line} "${COMP_WORDS[0]}" -m pipeline -sc query=bash)
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _complete_pipeline python
