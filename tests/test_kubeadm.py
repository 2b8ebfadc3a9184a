"""What kubeadm is told of a control plane that there is already."""

from datetime import timedelta
from typing import Any

import pytest
import yaml

from kubefab import kubeadm
from kubefab.facts.manifests import settings
from kubefab.inventory import Inventory
from tests.fakes import HOSTS, inventory

STORED = """\
apiServer:
  certSANs: [localhost, 10.9.9.9]
  extraArgs:
  - {name: profiling, value: "false"}
  - {name: oidc-issuer-url, value: "https://id.example"}
  extraVolumes:
  - {name: theirs, hostPath: /srv, mountPath: /srv}
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: lab
imageRepository: near/k8s
kubernetesVersion: v1.37.1
networking: {dnsDomain: cluster.local, podSubnet: 10.244.0.0/16}
scheduler: {}
"""


def saying(**cluster: Any) -> Inventory:
    """hosts.yml with these fields of ClusterConfiguration."""
    document = yaml.safe_load(HOSTS)
    document["cluster"]["kubeadm"] = {"ClusterConfiguration": cluster}
    return inventory(yaml.safe_dump(document))


def right(wanted: Inventory, **dropped: list[str]) -> dict[str, Any]:
    return kubeadm.put_right(wanted, STORED, {f"kube-{name}": settings for name, settings in dropped.items()})


def test_what_hosts_yml_does_not_name_stays_as_it_is_stored() -> None:
    assert kubeadm.parts(right(saying())) == kubeadm.parts(yaml.safe_load(STORED))
    assert right(saying())["imageRepository"] == "near/k8s"


def test_hosts_ymls_flags_come_beside_those_that_others_have_stored() -> None:
    found = right(saying(apiServer={"extraArgs": {"profiling": True, "v": 2}}))["apiServer"]["extraArgs"]
    assert {one["name"]: one["value"] for one in found} == {
        "profiling": "true",
        "oidc-issuer-url": "https://id.example",
        "v": "2",
    }


def test_an_older_configuration_has_its_flags_as_a_map() -> None:
    old = "apiVersion: kubeadm.k8s.io/v1beta3\nscheduler: {extraArgs: {v: '1', x: y}}\n"
    found = kubeadm.put_right(saying(scheduler={"extraArgs": {"v": 2}}), old, {"kube-scheduler": ["--x"]})
    assert found["scheduler"] == {"extraArgs": {"v": "2"}}


def test_what_hosts_yml_has_given_once_goes_and_nothing_beside_it() -> None:
    found = right(saying(), apiserver=["--profiling", "volumes[mine].hostPath.path"])["apiServer"]
    assert [one["name"] for one in found["extraArgs"]] == ["oidc-issuer-url"]
    assert [one["name"] for one in found["extraVolumes"]] == ["theirs"]


def test_volumes_of_others_stay_beside_those_of_hosts_yml() -> None:
    mine = {"name": "mine", "hostPath": "/a", "mountPath": "/b", "readOnly": True, "pathType": "Directory"}
    found = right(saying(apiServer={"extraVolumes": [mine], "certSANs": ["k8s.example", "localhost"]}))["apiServer"]
    assert [one["name"] for one in found["extraVolumes"]] == ["theirs", "mine"]
    assert found["certSANs"] == ["localhost", "10.9.9.9", "k8s.example"]


def test_what_cannot_change_in_a_cluster_that_runs_stays() -> None:
    found = right(saying(networking={"dnsDomain": "other.local"}, imageRepository="far/k8s"))
    assert (found["networking"]["dnsDomain"], found["imageRepository"]) == ("cluster.local", "near/k8s")
    assert found["kubernetesVersion"] == "v1.37.1"


def test_what_a_section_makes_of_its_static_pod_has_the_looks_own_names() -> None:
    volume = {"name": "a", "hostPath": "/x", "mountPath": "/y", "readOnly": True, "pathType": "File"}
    section = {"extraArgs": {"v": 2}, "extraVolumes": [volume], "extraEnvs": [{"name": "TZ", "value": "UTC"}]}
    assert kubeadm.settings(section) == {
        "--v": "2",
        "volumes[a].hostPath.path": "/x",
        "volumes[a].hostPath.type": "File",
        "volumeMounts[a].mountPath": "/y",
        "volumeMounts[a].readOnly": "True",
        "env[TZ].value": "UTC",
    }


def test_a_flag_that_is_told_twice_has_both_of_its_values() -> None:
    for order in (("https://a", "https://b"), ("https://b", "https://a")):  # some kubeadms sort them
        twice = [{"name": "service-account-issuer", "value": one} for one in order]
        assert kubeadm.settings({"extraArgs": twice}) == {"--service-account-issuer": "https://a, https://b"}


def test_a_variable_is_what_kubeadm_writes_of_it() -> None:
    """Go leaves out what is empty; and a variable may have its value from elsewhere."""
    address = {"fieldRef": {"fieldPath": "status.hostIP"}}
    section = {"extraEnvs": [{"name": "EMPTY", "value": ""}, {"name": "HERE", "valueFrom": address}]}
    written = [{"name": "EMPTY"}, {"name": "HERE", "valueFrom": address}]
    assert kubeadm.settings(section) == settings({"spec": {"containers": [{"name": "x", "env": written}]}})
    assert kubeadm.settings(section) == {"env[EMPTY]": "", "env[HERE].valueFrom.fieldRef.fieldPath": "status.hostIP"}


def test_of_a_volume_or_a_variable_that_stands_twice_the_last_counts() -> None:
    """kubeadm makes a map of each: util.MergeKubeadmEnvVars, controlplane.AddExtraHostPathMounts."""
    logs = [
        {"name": "logs", "hostPath": "/a", "mountPath": "/a", "readOnly": True, "pathType": "Directory"},
        {"name": "logs", "hostPath": "/a", "mountPath": "/b"},
    ]
    twice: dict[str, Any] = {
        "extraEnvs": [{"name": "TZ", "value": "UTC"}, {"name": "TZ", "value": "CET"}],
        "extraVolumes": logs,
    }
    once = {"extraEnvs": twice["extraEnvs"][1:], "extraVolumes": logs[1:]}
    assert kubeadm.settings(twice) == kubeadm.settings(once)
    assert right(saying(apiServer=twice)) == right(saying(apiServer=once))


@pytest.mark.parametrize("volumes", [[{"hostPath": "/x"}], ["x"], None])
def test_what_has_no_name_is_passed_over(volumes: Any) -> None:
    wanted = saying(apiServer={"extraVolumes": volumes})
    assert kubeadm.wanted_settings(wanted, "kube-apiserver") == {}
    assert right(wanted)["apiServer"]["extraVolumes"]


def test_given_settings_are_named_with_their_static_pod() -> None:
    wanted = saying(apiServer={"extraArgs": {"v": 2}}, scheduler={"extraArgs": {"v": 3}})
    assert kubeadm.given(wanted) == ["kube-apiserver:--v", "kube-scheduler:--v"]


def test_a_masters_documents_are_of_its_own_address_and_node() -> None:
    wanted = saying()
    said = kubeadm.control_plane_documents(wanted, "by-hand", "10.0.0.7", 6443, right(wanted))
    init, cluster = yaml.safe_load_all(said)
    assert init["localAPIEndpoint"] == {"advertiseAddress": "10.0.0.7", "bindPort": 6443}
    assert (init["nodeRegistration"]["name"], init["apiVersion"]) == ("by-hand", "kubeadm.k8s.io/v1beta4")
    assert cluster["kind"] == "ClusterConfiguration"


def test_how_long_certificates_are_good_is_kept_for_the_next_ones() -> None:
    wanted = saying(certificateValidityPeriod="24h", encryptionAlgorithm="ECDSA-P256")
    found = kubeadm.parts(right(wanted))
    assert (found["certificateValidityPeriod"], found["encryptionAlgorithm"]) == ("24h", "ECDSA-P256")


def test_somebodys_patches_are_named_to_kubeadm() -> None:
    said = kubeadm.control_plane_documents(saying(), "m", "10.0.0.7", 6443, right(saying()), patches="/etc/mine")
    assert next(yaml.safe_load_all(said))["patches"] == {"directory": "/etc/mine"}


@pytest.mark.parametrize("value", ["y", "N", "1e3", "-2E5", "1.5e3", ".5", "0o17", "yes", "0x1F", "1:30", "2026-11-26"])
def test_a_text_that_go_would_take_for_something_else_is_in_quotes(value: str) -> None:
    """Go's YAML takes y for true, and 1e3 for a number: kubeadm refuses both as the value of a flag."""
    assert kubeadm.dumped([{"a": value}]) == f"a: '{value}'\n"


def test_what_is_stored_in_quotes_stays_in_quotes_for_kubeadm() -> None:
    stored = "apiVersion: kubeadm.k8s.io/v1beta4\nclusterName: '1e3'\n"
    assert "clusterName: '1e3'\n" in kubeadm.at_version(stored, "1.37.2")
    told = kubeadm.certificate_documents(saying(), saying().hosts[0], stored, ["a"], timedelta())
    assert "clusterName: '1e3'\n" in told


def test_what_changes_in_no_cluster_that_runs_is_told_apart_from_what_does() -> None:
    etcd = {"local": {"imageTag": "3.6.0-0", "extraArgs": [{"name": "quota-backend-bytes", "value": "8"}]}}
    told = {"networking": {"dnsDomain": "a.b"}, "etcd": etcd, "scheduler": {"extraArgs": {"v": 1}}}
    assert kubeadm.lasting(told) == {
        "networking.dnsDomain": "a.b",
        "etcd.local.imageTag": "3.6.0-0",
        "etcd: --quota-backend-bytes": "8",
    }


# --- what runs on every node

KUBELETS = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDNS: [10.96.0.10]
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi}
maxPods: 110
nodeStatusUpdateFrequency: 10s
"""


def of_kubelets_in(says: dict[str, Any]) -> Inventory:
    document = yaml.safe_load(HOSTS)
    document["cluster"]["kubeadm"] = {"KubeletConfiguration": says}
    return inventory(yaml.safe_dump(document))


def of_kubelets(says: dict[str, Any], *dropped: str) -> dict[str, Any]:
    return kubeadm.component_put_right(of_kubelets_in(says), kubeadm.KUBELET, KUBELETS, dropped)


def test_what_hosts_yml_says_of_kubelets_comes_beside_what_is_stored() -> None:
    found = of_kubelets({"maxPods": 200, "evictionHard": {"memory.available": "5%"}})
    assert (found["maxPods"], found["nodeStatusUpdateFrequency"]) == (200, "10s")
    assert found["evictionHard"] == {"memory.available": "5%", "nodefs.available": "1Gi"}


def test_what_hosts_yml_says_of_kubelets_no_more_goes() -> None:
    assert of_kubelets({}, "evictionHard.memory.available")["evictionHard"] == {"nodefs.available": "1Gi"}
    assert "evictionHard" not in of_kubelets({}, "evictionHard.memory.available", "evictionHard.nodefs.available")
    assert "maxPods" not in of_kubelets({}, "maxPods")


TAINTS = [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoSchedule"}]


def after(once: dict[str, Any], says: dict[str, Any]) -> dict[str, Any]:
    """What is stored once hosts.yml, which has said the one, says the other."""
    before, now = settings(once), settings(says)
    wanted = of_kubelets_in(says)
    stored = yaml.safe_dump({**yaml.safe_load(KUBELETS), **once})
    return kubeadm.component_put_right(wanted, kubeadm.KUBELET, stored, [one for one in before if one not in now])


@pytest.mark.parametrize(
    "once",
    [
        {"registerWithTaints": TAINTS},
        {"shutdownGracePeriodByPodPriority": [{"priority": 0, "shutdownGracePeriodSeconds": 10}]},
        {"reservedMemory": [{"numaNode": 0, "limits": {"memory": "1Gi"}}]},
        {"someday": [[{"a": 1}, "b"], [["c"]]]},
        {"someday": {"within": [{"a": {}}, {"b": [{"c": 1}]}]}},
    ],
)
def test_a_list_of_more_than_words_goes_where_hosts_yml_says_it_no_more(once: dict[str, Any]) -> None:
    assert after(once, {}) == yaml.safe_load(KUBELETS)


def test_a_list_of_which_hosts_yml_takes_an_item_out_is_what_it_says_now() -> None:
    for left in (TAINTS[:1], TAINTS[1:], []):
        assert after({"registerWithTaints": TAINTS}, {"registerWithTaints": left})["registerWithTaints"] == left


def test_a_list_that_hosts_yml_has_never_said_stays() -> None:
    stored = yaml.safe_dump({**yaml.safe_load(KUBELETS), "registerWithTaints": TAINTS})
    found = kubeadm.component_put_right(of_kubelets_in({}), kubeadm.KUBELET, stored, ["registerWith", "maxPods"])
    assert found["registerWithTaints"] == TAINTS


def test_a_kubelets_settings_are_as_hosts_yml_writes_them_and_lists_as_a_whole() -> None:
    document = yaml.safe_load(HOSTS)
    says = {"nodeStatusUpdateFrequency": "60s", "clusterDNS": ["10.96.0.10", "10.96.0.11"], "failSwapOn": False}
    document["cluster"]["kubeadm"] = {"KubeletConfiguration": says}
    assert kubeadm.component_settings(inventory(yaml.safe_dump(document)), kubeadm.KUBELET) == {
        "nodeStatusUpdateFrequency": "60s",
        "clusterDNS": "10.96.0.10, 10.96.0.11",
        "failSwapOn": "False",
    }
