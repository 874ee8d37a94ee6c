// SPDX-License-Identifier: Apache-2.0
// What the control API answers, as far as the page reads it (docs/openapi/control-v1.json). Strings may hold anything:
// names come from files that others wrote, so they only ever become text of the document.

export interface Process {
    kind: string;
    pid: number;
    alive: boolean;
}

export interface Machine {
    name: string;
    state: string;
    pid?: number;
    started_us?: number;
    reason?: string;
    processes?: Process[];
    plan?: Plan | null;
}

export interface Link {
    generation: number;
    speed: string;
    width: number;
}

export interface RootPort {
    id: string;
    bdf: string;
}

export interface FabricPort {
    name: string;
    kind: string;
    bdf: string;
    parent: string | null;
    link: Link;
    slot: number;
    hotplug: boolean;
}

export interface Fabric {
    name: string;
    numa_node: number;
    root_port: RootPort;
    bdf: string;
    domain: string;
    ports: FabricPort[];
}

export interface PlanFunction {
    name: string;
    kind: string; // "pf" or "vf"
    bdf: string;
    vendor: string;
    device: string;
    class: string;
}

export interface PlanDevice {
    name: string;
    model: string;
    numa_node: number;
    fabric?: string;
    root_port?: RootPort;
    port: string;
    slot?: number; // number on the chassis; 0: it has none
    hotplug?: boolean;
    sriov: string | null;
    link: Link;
    functions: PlanFunction[];
}

export interface NumaNode {
    node: number;
    cpus: number[];
    memory: number;
}

/** A machine of the expected tree (`mimic plan`). */
export interface Plan {
    name: string;
    numa_nodes: NumaNode[];
    fabrics: Fabric[];
    devices: PlanDevice[];
    machines?: Plan[];
}

export type Counters = Record<string, number>;

export interface Device {
    name: string;
    kind: string;
    connected: boolean;
    numa_node?: number | null;
    parent?: string | null;
    pf?: string | null;
    bdf?: string | null;
    vendor_id?: string;
    device_id?: string;
    class_code?: string;
    power_state?: string;
    bus_master?: boolean;
    vfs?: number | null;
    total_vfs?: number | null;
    present?: boolean;
    link_up?: boolean | null;
    faults?: { armed: number; active: number; struck: number };
    counters: Counters;
}

export interface Field {
    name: string;
    hi: number;
    lo: number;
    value: string;
    text: string | null;
}

export interface Register {
    name: string;
    offset: string;
    width: number;
    value: string;
    doc: string;
    fields: Field[];
}

export interface Section {
    name: string;
    id: string | null;
    extended: boolean;
    offset: string;
    registers: Register[];
}

export interface Bar {
    bar: number;
    type: string;
    prefetchable: boolean;
    size: number;
    address: string | null;
    maps: { name: string; offset: string; registers: Register[] }[];
}

export interface Registers {
    device: string;
    config?: { size: number; sections: Section[]; hex: string };
    bars?: Bar[];
}

export interface FaultReport {
    id: number;
    fault: string;
    state: string;
    strikes: number;
    count: number;
    severity?: string;
    vector?: number;
    delay_us?: number;
    at_us?: number;
    after_accesses?: number;
    accesses_left?: number;
    note?: string;
}

export interface TraceStatus {
    enabled: boolean;
    devices: string[] | "all";
    data_bytes: number;
    buffer_bytes: number;
    events: number;
    dropped: number;
    newest: string; // cursor behind the last event
}

export interface TraceEvents {
    events: TraceEvent[];
    next: string; // cursor for the next request
    lost: number; // overwritten since the cursor of this one
    more: boolean;
}

export interface TraceEvent {
    seq: number;
    t: number;
    device: string;
    kind: string;
    bar?: number;
    addr?: string | number;
    size?: number;
    value?: string;
    reg?: string;
    vector?: number;
    access?: number; // of dma-map: 1 reading, 2 writing, 3 both
    dur?: number; // nanoseconds that the model took for an access
    interrupt?: number; // of a doorbell: the vector that answers it
    fields?: Record<string, string>;
    data?: string; // hexadecimal bytes
    severity?: string;
    text?: string;
}

export interface LiveEvent {
    type: string;
    time_us?: number;
    machine?: string;
    device?: string | null;
    [key: string]: unknown;
}

/** A fault that a device would refuse. */
export interface FaultRefusal {
    fault: string;
    reason: string;
    for_now: boolean; // false: never by this device
}

/** A fault that can be injected: GET /v1/faults. */
export interface FaultName {
    name: string;
    text: string;
    options: string[];
}

/** GET /v1/pci-ids. */
export interface PciIds {
    file: string | null;
    ids: { id: string; vendor: string | null; device: string | null }[];
    classes: { class: string; base: string | null; sub: string | null; interface: string | null }[];
}

/** Of GET /v1/mediators; what the page shows of it. */
export interface Mediator {
    name: string;
    rule: string;
    strict_classes: boolean;
    draining: boolean;
    drained: boolean;
    jobs: number;
    errors: number;
    rejected: number;
    pools: MediatorPool[];
}

export interface MediatorPool {
    id: string;
    waiting: number;
    fairness: number;
    backends: { name: string; ready: boolean }[];
}

export interface MediatorTimes {
    count: number;
    mean_us: number;
    p99_us: number;
}

export interface MediatorVm {
    id: number;
    pool: string;
    priority: string;
    weight: number;
    connections: number;
    waiting: number;
    quarantine: { reason: string; release_in_s: number | null } | null;
    memory_bytes: number;
    counters: { service_ns: number };
    latency: MediatorTimes;
}
