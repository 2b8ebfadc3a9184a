# shellcheck shell=sh
# What systemd says of the services, and when each one started.
TZ=UTC systemctl show --timestamp=us+utc \
    -p Id,ActiveState,UnitFileState,ActiveEnterTimestamp,Result \
    containerd.service docker.service cri-docker.service kubelet.service kubefab-images.service | while IFS= read -r line; do
    fact "unit $line"
done
