# SPDX-License-Identifier: Apache-2.0
"""What KubeVirt's virt-handler would offer of a guest's PCI functions.

The whole rule, retold from KubeVirt v1.9.0 (79d34c1762, 2026-07-27; the same on its main branch at d923fdb815,
2026-08-22), pkg/virt-handler/device-manager. In its order:

1. device_controller.go: each `pciHostDevices` entry of the KubeVirt resource without `externalResourceProvider` gives
   a resource name by its selector in lower case.
2. pci_device.go, discoverPermittedHostPCIDevices(): every entry of /sys/bus/pci/devices that is no folder itself (all
   are links).
3. common.go, GetDevicePCIID(): what follows `=` in the first line of `uevent` that begins with PCI_ID, in lower case;
   not `vendor` and `device`. A function whose id is not permitted ends here.
4. GetDeviceDriver(): the last part of the link `driver`; without one the function is skipped.
5. With a driver other than vfio-pci, nvidia.go: the driver must be `nvidia`; there must be no `sriov_totalvfs` (that
   is a PF, whether it has VFs or not); `nvidia/current_vgpu_type`, trimmed, must be neither empty nor `0`.
6. GetDeviceIOMMUGroup(): the last part of the link `iommu_group`; without one the function is skipped.
7. GetDeviceNumaNode(): `numa_node`, -1 if there is none.
8. constructDPIdevices(): the group is the name of the device for kubelet, so of two in a group the last one wins.

And what comes of it: formatVFIODeviceSpecs() and the health check take /dev/vfio/vfio and /dev/vfio/GROUP."""

# One line a function: name, whether it is a link, PCI_ID, driver, sriov_totalvfs, vGPU type, group, numa_node. `-` is
# put before each value, so that what is missing is not taken for what is empty.
GATHER = r"""
    last() { at=$(readlink "$1") && echo "-${at##*/}" || echo none; }
    for path in /sys/bus/pci/devices/*; do
        link=no; [ -L "$path" ] && link=yes
        id=$(grep -m1 '^PCI_ID' "$path/uevent"); id=${id#*=}
        pf=no; [ -e "$path/sriov_totalvfs" ] && pf=yes
        type=none; [ -e "$path/nvidia/current_vgpu_type" ] && type=-$(cat "$path/nvidia/current_vgpu_type")
        node=-1; [ -e "$path/numa_node" ] && read -r node <"$path/numa_node"
        echo "${path##*/} $link -$id $(last "$path/driver") $pf $type $(last "$path/iommu_group") $node"
    done
"""


def discover(text, permitted):
    """Functions by resource name, each a dict of address, group and node; `text` is what GATHER printed, `permitted`
    resource names by selector."""
    resources = {selector.lower(): name for selector, name in permitted.items()}
    found = {}
    for line in text.splitlines():
        address, link, pci_id, driver, is_pf, vgpu_type, group, node = line.split()
        if link != "yes" or pci_id[1:].lower() not in resources or driver == "none":
            continue
        if driver != "-vfio-pci" and not (driver == "-nvidia" and is_pf == "no"
                                          and vgpu_type not in ("none", "-", "-0")):
            continue
        if group == "none":
            continue
        resource = resources[pci_id[1:].lower()]
        found.setdefault(resource, []).append({"address": address, "group": group[1:], "node": int(node)})
    return found


def devices(found, resource):
    """What kubelet gets of a resource: address and NUMA node by group."""
    return {function["group"]: (function["address"], function["node"]) for function in found.get(resource, [])}
