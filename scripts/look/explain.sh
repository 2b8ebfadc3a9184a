# shellcheck shell=sh
# What kubeadm made on a master, for people to understand: certificates, .conf files, static pods, tokens and
# cluster-info. No key, and of a token just its id.
. "${0%/*}/shared/certificate.sh"
. "${0%/*}/shared/static.sh"
[ -d /etc/kubernetes ] || exit 0
for file in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt; do
    [ ! -e "$file" ] || certificate "$file"
done
for file in /etc/kubernetes/*.conf; do
    [ -e "$file" ] || continue
    server='' user=''
    while name= && read -r name value || [ -n "$name" ]; do
        case $name in
            server:) server=$value ;;
            client-certificate-data: | client-certificate:) user=$value ;;
        esac
    done <"$file"
    fact "conf $file $server $user"
    case $user in /*) certificate "$user" ;; esac
done
for file in /etc/kubernetes/manifests/*.yaml; do
    [ -e "$file" ] || continue
    image=$(image_of "$file")
    [ -z "$image" ] || fact "static_pod $file $image"
done

ask_api --namespace kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o jsonpath='{range .items[*]}token {.data.token-id} {.data.expiration} {.data.description}{"\n"}{end}' &&
    fact "tokens_told yes"
info=$(ask_api --namespace kube-public get configmap cluster-info --ignore-not-found -o jsonpath='{.data.kubeconfig}') &&
    fact "info_told yes"
printf '%s\n' "$info" | while read -r name value; do
    case $name in
        server:) fact "info_server $value" ;;
        certificate-authority-data:) fact "info_ca $value" ;;
    esac
done
