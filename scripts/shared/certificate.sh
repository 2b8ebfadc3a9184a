# shellcheck shell=sh
# certificate FILE: tells the first certificate in it, without its armour, and never a key that is in there, too.
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
