# shellcheck shell=sh
# certificate FILE: the first one in it, without its armour; a key beside it stays there.
certificate() {
    body=none
    while IFS= read -r line; do
        case $line in
            *'BEGIN CERTIFICATE'*) body= ;;
            *'END CERTIFICATE'*) break ;;
            *) [ "$body" = none ] || body=$body$line ;;
        esac
    done <"$1"
    fact "certificate $1 $body"
}
