// SPDX-License-Identifier: Apache-2.0
// The tree that is shown: NUMA nodes, root ports, fabrics, ports, functions and VFs. The plan gives the shape, the live
// devices give what is there now; VFs and whatever the plan does not know are hung below what they say is above them.
import { bytes } from "./format";
import type { Device, Fabric, Link, Plan, PlanDevice } from "./types";

export type NodeKind =
    | "numa" | "root-port" | "fabric" | "port" | "switch" | "function" | "virtual-function";

export interface TreeNode {
    id: string;
    kind: NodeKind;
    label: string;
    note: string; // what is said of it in small print: address, size
    device: string | null; // name at the API, of what has registers and faults
    parent: TreeNode | null;
    children: TreeNode[];
    planned: Planned;
}

/** What only the plan says of a node. The link is the one below a port, else the one above. */
export interface Planned {
    link?: Link;
    slot?: number;
    hotplug?: boolean;
    model?: string;
}

/** "gen5 x16 (32 GT/s)". */
export const linkText = (link: Link) => `gen${link.generation} x${link.width} (${link.speed})`;

const kKindText: Record<NodeKind, string> = {
    "numa": "NUMA node", "root-port": "root port", "fabric": "fabric", "port": "port", "switch": "switch",
    "function": "function", "virtual-function": "virtual function",
};
export const kindText = (kind: NodeKind) => kKindText[kind];

/** What the dot of a row says; `tone` chooses its shape and colour. */
export interface State {
    text: string;
    tone: "ok" | "idle" | "warn" | "bad" | "off";
}

export function stateOf(device: Device | undefined): State {
    if (!device) return { text: "gone", tone: "bad" };
    if (device.present === false) return { text: "empty slot", tone: "off" };
    if (device.link_up === false) return { text: "link down", tone: "bad" };
    if ((device.faults?.active ?? 0) > 0) return { text: "fault", tone: "bad" };
    if (!device.connected) return { text: "not connected", tone: "off" };
    if ((device.faults?.armed ?? 0) > 0) return { text: "fault armed", tone: "warn" };
    if (device.power_state && device.power_state !== "D0") return { text: device.power_state, tone: "idle" };
    if (device.kind === "port" || device.kind === "fabric") return { text: "up", tone: "ok" };
    return device.bus_master === false ? { text: "idle", tone: "idle" } : { text: "active", tone: "ok" };
}

/** Builds the tree. Names that appear twice keep their first place. */
export class TreeBuilder {
    readonly roots: TreeNode[] = [];
    readonly nodes = new Map<string, TreeNode>();
    private readonly live: Map<string, Device>;
    private readonly ports = new Map<string, Map<string, TreeNode>>(); // by fabric, then address

    constructor(plan: Plan | null, devices: Device[]) {
        this.live = new Map(devices.map((device) => [device.name, device]));
        if (plan) this.addPlan(plan);
        for (const device of devices) this.addLive(device);
    }

    private add(parent: TreeNode | null, id: string, kind: NodeKind, label: string, note: string,
                device: string | null = null, planned: Planned = {}): TreeNode {
        const known = this.nodes.get(id);
        if (known) return known;
        const node: TreeNode = { id, kind, label, note, device, parent, children: [], planned };
        this.nodes.set(id, node);
        (parent ? parent.children : this.roots).push(node);
        return node;
    }

    private addPlan(plan: Plan): void {
        for (const numa of plan.numa_nodes) {
            const cpus = numa.cpus.length === 1 ? "1 CPU" : `${numa.cpus.length} CPUs`;
            this.add(null, `numa:${numa.node}`, "numa", `NUMA node ${numa.node}`, `${cpus}, ${bytes(numa.memory)}`);
        }
        const fabrics = new Map(plan.fabrics.map((fabric) => [fabric.name, fabric]));
        for (const fabric of plan.fabrics) this.addFabric(fabric);
        for (const device of plan.devices) this.addDevice(device, fabrics);
    }

    private numa(node: number | null | undefined): TreeNode {
        if (node === null || node === undefined || node < 0) return this.add(null, "numa:none", "numa", "Machine", "no NUMA node");
        return this.add(null, `numa:${node}`, "numa", `NUMA node ${node}`, "");
    }

    private addFabric(fabric: Fabric): void {
        const above = this.add(this.numa(fabric.numa_node), `root:${fabric.root_port.id}`, "root-port",
                               fabric.root_port.id, fabric.root_port.bdf);
        const top = this.add(above, `device:${fabric.name}`, "fabric", fabric.name,
                             `${fabric.bdf}, domain ${fabric.domain}`, fabric.name);
        const by_address = new Map<string, TreeNode>();
        for (const port of fabric.ports) {
            const parent = (port.parent && by_address.get(port.parent)) || top;
            const kind = port.kind === "switch_upstream" ? "switch" : "port";
            const { link, slot, hotplug } = port;
            by_address.set(port.bdf, this.add(parent, `device:${port.name}`, kind, port.name, port.bdf, port.name,
                                              { link, slot, hotplug }));
        }
        this.ports.set(fabric.name, by_address);
    }

    private addDevice(device: PlanDevice, fabrics: Map<string, Fabric>): void {
        const fabric = device.fabric === undefined ? undefined : fabrics.get(device.fabric);
        const { link, slot, hotplug, model } = device;
        const above = fabric
            ? this.ports.get(fabric.name)?.get(device.port) ?? this.nodes.get(`device:${fabric.name}`)!
            : this.add(this.numa(device.numa_node), `root:${device.root_port?.id ?? device.port}`, "root-port",
                       device.root_port?.id ?? device.port, device.root_port?.bdf ?? device.port, null,
                       { link, slot, hotplug });
        let pf: TreeNode | null = null;
        for (const planned of device.functions) {
            const is_vf = planned.kind === "vf";
            // A native VF is there once the guest has enabled it, and says so itself.
            if (is_vf && !this.live.has(planned.name)) continue;
            const kind = is_vf ? "virtual-function" : "function";
            const node: TreeNode = this.add(is_vf && pf ? pf : above, `device:${planned.name}`, kind, planned.name,
                                            planned.bdf, planned.name, { link, slot, hotplug, model });
            pf ??= node;
        }
    }

    private addLive(device: Device, depth = 0): TreeNode {
        const known = this.nodes.get(`device:${device.name}`);
        if (known) return known;
        const kinds: Record<string, NodeKind> = {
            "virtual-function": "virtual-function", "fabric": "fabric", "port": "port",
        };
        const name = device.pf ?? device.parent;
        const above = name ? this.live.get(name) : undefined;
        // Bounded: what is said of who is above whom could be a circle.
        const parent = above && above !== device && depth < 16 ? this.addLive(above, depth + 1) : this.numa(device.numa_node);
        return this.add(parent, `device:${device.name}`, kinds[device.kind] ?? "function", device.name,
                        device.bdf ?? "", device.name);
    }
}

/** The plan of one machine, also out of a document of several. */
export function planOf(plan: Plan | null | undefined, machine: string): Plan | null {
    const found = plan?.machines ? plan.machines.find((one) => one.name === machine) : plan;
    return found && Array.isArray(found.devices) ? found : null;
}
