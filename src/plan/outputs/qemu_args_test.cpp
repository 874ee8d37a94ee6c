// SPDX-License-Identifier: Apache-2.0
// QEMU arguments and libvirt XML: hostile paths, socket limits, CPU topology, image boot.
#include "outputs/qemu_args.h"
#include "devices/all_models.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "topology/test_files.h"
#include "topology/topology.h"

namespace mimic::outputs {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;

topology::Model parsed(const std::string& text) {
    auto model = topology::parse(text, "test.yaml", devices::all_models());
    EXPECT_TRUE(model) << model.error().str();
    return std::move(*model);
}

const std::string kOne =
    "version: 1\nmachine: {name: m, devices: [{name: gpu0, model: mock-accel, vfs: {count: 2}}]}";

/// The values that follow `option`.
std::vector<std::string> values(const std::vector<std::string>& args, const std::string& option) {
    std::vector<std::string> out;
    for (size_t i = 0; i + 1 < args.size(); ++i) {
        if (args[i] == option) out.push_back(args[i + 1]);
    }
    return out;
}

TEST(QemuArgs, EveryFunctionNeedsASocketThatFits) {
    const topology::Model model = parsed(kOne);
    const topology::Machine& machine = model.machines[0];
    RunContext context = default_context(machine, "/run/m");
    EXPECT_TRUE(qemu_args(machine, context));
    context.device_sockets["gpu0-vf1"] = std::string(107, 'x');
    EXPECT_TRUE(qemu_args(machine, context));
    context.device_sockets["gpu0-vf1"] += 'x';
    const auto too_long = qemu_args(machine, context);
    ASSERT_FALSE(too_long);
    EXPECT_EQ(too_long.error().code(), std::errc::filename_too_long);
    EXPECT_THAT(too_long.error().message(), HasSubstr("107"));
    context.device_sockets.erase("gpu0-vf1");
    ASSERT_FALSE(qemu_args(machine, context));
    EXPECT_FALSE(libvirt_xml(machine, context));
}

TEST(QemuArgs, AVhostUserDeviceIsQemusOwnBehindASocketThatDoesNotReconnect) {
    const topology::Model model = parsed(
        "version: 1\nmachine: {name: m, devices: [{name: rng0, model: virtio-rng, "
        "transport: vhost-user}, {name: rng1, model: virtio-rng}]}");
    const auto args = qemu_args(model.machines[0], default_context(model.machines[0], "/run/m"));
    ASSERT_TRUE(args);
    EXPECT_THAT(values(*args, "-chardev"), Contains("socket,id=vhost-rng0,path=/run/m/rng0.sock"));
    std::vector<nlohmann::json> devices;
    std::vector<std::string> ports;
    for (const std::string& value : values(*args, "-device")) {
        if (value.starts_with('{')) devices.push_back(nlohmann::json::parse(value));
        if (value.starts_with("pcie-root-port")) ports.push_back(value);
    }
    ASSERT_EQ(devices.size(), 2u);
    const nlohmann::json expected = {{"driver", "vhost-user-test-device-pci"},
                                     {"id", "dev-rng0"},
                                     {"bus", devices[0]["bus"]},
                                     {"addr", "0.0"},
                                     {"chardev", "vhost-rng0"},
                                     {"virtio-id", 4},
                                     {"num_vqs", 1},
                                     {"vq_size", 8},
                                     {"config_size", 0}};
    EXPECT_EQ(devices[0], expected);
    EXPECT_EQ(devices[1]["driver"], "vfio-user-pci");
    ASSERT_EQ(ports.size(), 2u);
    EXPECT_THAT(ports[0], HasSubstr(",hotplug=on,io-reserve=0,"));
    EXPECT_THAT(ports[1], HasSubstr(",hotplug=off,"));
    const auto xml = libvirt_xml(model.machines[0], default_context(model.machines[0], "/run/m"));
    ASSERT_TRUE(xml);
    EXPECT_THAT(*xml, HasSubstr("socket,id=vhost-rng0,path=/run/m/rng0.sock"));
    EXPECT_THAT(*xml, HasSubstr("hotplug='on'"));
}

TEST(QemuArgs, HostilePathsStayInTheirPlace) {
    const topology::Model model = parsed(kOne);
    const topology::Machine& machine = model.machines[0];
    const std::string folder = "/tmp/a,b=c \"d' <&>{\\";
    const auto args = qemu_args(machine, default_context(machine, folder));
    ASSERT_TRUE(args);
    EXPECT_THAT(values(*args, "-chardev"), Contains(HasSubstr("path=/tmp/a,,b=c \"d' <&>{\\/qmp")));
    for (const std::string& device : values(*args, "-device")) {
        if (!device.starts_with("{")) continue;
        const auto json = nlohmann::json::parse(device, nullptr, false);
        ASSERT_FALSE(json.is_discarded()) << device;
        EXPECT_THAT(json["socket"]["path"].get<std::string>(), StartsWith(folder + "/gpu0"));
    }
    const auto xml = libvirt_xml(machine, default_context(machine, folder));
    ASSERT_TRUE(xml);
    EXPECT_THAT(*xml, HasSubstr("/tmp/a,b=c &quot;d&apos; &lt;&amp;&gt;{\\/vmlinuz"));
    EXPECT_EQ(xml->find("<&>"), std::string::npos);
}

TEST(QemuArgs, DirectBootMayHaveADiskFilesAndANetwork) {
    const topology::Model model = parsed(kOne);
    const topology::Machine& machine = model.machines[0];
    RunContext context = default_context(machine, "/r");
    context.root_disk = "/c/a,b.ext4";
    context.root_files = "/r/n.tar";
    context.network = {.subnet = 7, .forwards = {{.host = 40000, .guest = 10250}, {40001, 22}}};
    const auto args = qemu_args(machine, context);
    ASSERT_TRUE(args);
    EXPECT_THAT(values(*args, "-append"), testing::ElementsAre(testing::EndsWith(
                                              " mimic.net=10.0.7 mimic.root=vda mimic.files=vdb")));
    EXPECT_THAT(values(*args, "-drive"),
                testing::ElementsAre("file=/c/a,,b.ext4,format=raw,if=none,id=root,snapshot=on"));
    EXPECT_THAT(values(*args, "-blockdev"),
                testing::ElementsAre(HasSubstr("\"filename\":\"/r/n.tar\"")));
    EXPECT_THAT(values(*args, "-netdev"),
                testing::ElementsAre("user,id=net,net=10.0.7.0/24,hostfwd=tcp:127.0.0.1:40000-10.0."
                                     "7.15:10250,hostfwd=tcp:127.0.0.1:40001-10.0.7.15:22"));
    EXPECT_THAT(values(*args, "-device"), Contains(HasSubstr("id=mimic-root")));
    EXPECT_THAT(values(*args, "-device"), Contains(HasSubstr("id=mimic-net")));
    // The guest names disks in the order of their slots.
    context.root_disk.clear();
    const auto without = qemu_args(machine, context);
    ASSERT_TRUE(without);
    EXPECT_THAT(values(*without, "-blockdev"), testing::IsEmpty()) << "files need a disk";
    EXPECT_THAT(values(*without, "-append"),
                testing::ElementsAre(testing::EndsWith(" mimic.net=10.0.7")));
}

TEST(QemuArgs, Riscv64HasTheVirtMachineAndItsInterruptController) {
    const std::string start = "version: 1\nmachine: {name: m, arch: riscv64, ";
    const auto machine_of = [&](const std::string& keys) {
        const topology::Model model = parsed(start + keys + "}");
        const topology::Machine& machine = model.machines[0];
        const auto args = qemu_args(machine, default_context(machine, "/r"));
        EXPECT_TRUE(args);
        return values(*args, "-machine").front();
    };
    EXPECT_EQ(machine_of("cpus: 2"), "virt,aia=aplic-imsic,accel=tcg,memory-backend=mem0");
    EXPECT_EQ(machine_of("interrupts: intx"), "virt,aia=none,accel=tcg,memory-backend=mem0");
    const topology::Model model = parsed(start + "cpus: 2}");
    EXPECT_EQ(default_context(model.machines[0], "/r").qemu, "qemu-system-riscv64");
    EXPECT_EQ(kernel_command_line(model.machines[0]).find("no_timer_check"), std::string::npos);
}

TEST(QemuArgs, LockStepCountsInstructions) {
    const topology::Model model = parsed(
        "version: 1\nmachine: {name: m, cpus: 1, time: lock-step, seed: 42, run: \"a 'b' | c\"}");
    const topology::Machine& machine = model.machines[0];
    const auto args = qemu_args(machine, default_context(machine, "/r"));
    ASSERT_TRUE(args);
    EXPECT_THAT(values(*args, "-icount"), testing::ElementsAre("shift=2,sleep=off"));
    EXPECT_THAT(values(*args, "-seed"), testing::ElementsAre("42"));
    EXPECT_THAT(values(*args, "-rtc"), testing::ElementsAre("base=2026-01-01T00:00:00,clock=vm"));
    EXPECT_THAT(values(*args, "-machine"), testing::ElementsAre(HasSubstr("accel=tcg")));
    EXPECT_THAT(values(*args, "-device"),
                Contains("virtio-serial-pci,id=mimic-serial,bus=pcie.0,addr=0x1,ioeventfd=off"));
    EXPECT_THAT(kernel_command_line(machine),
                testing::EndsWith(" mimic.run=a\\0040\\0047b\\0047\\0040\\0174\\0040c"));
    const topology::Model plain = parsed("version: 1\nmachine: {name: m}");
    const auto without = qemu_args(plain.machines[0], default_context(plain.machines[0], "/r"));
    ASSERT_TRUE(without);
    EXPECT_THAT(values(*without, "-icount"), testing::IsEmpty());
    // Whoever connects to a stream port interrupts the guest.
    EXPECT_THAT(values(*without, "-device"), Contains(HasSubstr("name=org.mimic.streams.0")));
    EXPECT_THAT(values(*args, "-device"), testing::Not(Contains(HasSubstr("org.mimic.streams"))));
}

TEST(QemuArgs, PatienceWithDevicesUnlessTheCpusAreKvms) {
    const std::string start = "version: 1\nmachine: {name: m, cpus: 1, ";
    const auto patient = [&](const std::string& keys, const std::string& attach = "root-port") {
        const topology::Model model = parsed(
            start + keys + "devices: [{name: gpu0, model: mock-accel, attach: " + attach + "}]}");
        const auto args = qemu_args(model.machines[0], default_context(model.machines[0], "/r"));
        EXPECT_TRUE(args);
        const auto devices = values(*args, "-device");
        return devices.back().find("\"x-msg-timeout\":60000") != std::string::npos;
    };
    EXPECT_TRUE(patient(""));
    EXPECT_TRUE(patient("accel: tcg, "));
    EXPECT_TRUE(patient("time: lock-step, "));
    EXPECT_TRUE(patient("", "fabric"));
    EXPECT_FALSE(patient("accel: kvm, "));
    EXPECT_FALSE(patient("accel: kvm, ", "fabric"));
}

TEST(QemuArgs, IdsAreUniqueAndBusesExistBeforeUse) {
    for (const auto& file : topology::good_files()) {
        const auto model = topology::load(file.string(), devices::all_models());
        ASSERT_TRUE(model) << model.error().message();
        for (const topology::Machine& machine : model->machines) {
            const auto args = qemu_args(machine, default_context(machine, "/r"));
            ASSERT_TRUE(args);
            std::set<std::string> known = {"pcie.0"};
            for (const std::string& device : values(*args, "-device")) {
                if (!device.starts_with("pxb") && !device.starts_with("pcie-root")) continue;
                const size_t id = device.find("id=") + 3;
                const size_t bus = device.find("bus=") + 4;
                EXPECT_TRUE(known.contains(device.substr(bus, device.find(',', bus) - bus)));
                EXPECT_TRUE(known.insert(device.substr(id, device.find(',', id) - id)).second);
            }
        }
    }
}

TEST(QemuArgs, NodeBoundaryIsSocketBoundary) {
    const auto topology = [](const std::string& machine) {
        const topology::Model model = parsed("version: 1\nmachine: {name: m, " + machine + "}");
        const CpuTopology cpus = cpu_topology(model.machines[0]);
        return std::pair(cpus.sockets, cpus.cores);
    };
    EXPECT_EQ(topology("cpus: 4"), std::pair(1u, 4u));
    EXPECT_EQ(topology("numa: [{cpus: 4}, {cpus: 4}]"), std::pair(2u, 4u));
    EXPECT_EQ(topology("numa: [{cpus: 3}, {cpus: 1}]"), std::pair(4u, 1u));
    EXPECT_EQ(topology("numa: [{cpus: 2}, {cpus: 0}]"), std::pair(2u, 1u));
    EXPECT_EQ(topology("cpus: 255"), std::pair(255u, 1u)) << "256 APIC ids would be needed";
    EXPECT_EQ(topology("numa: [{cpus: 85}, {cpus: 85}, {cpus: 85}]"), std::pair(255u, 1u));
}

TEST(QemuArgs, FabricIsOneEndpointBehindTheOthers) {
    const topology::Model model = parsed(
        "version: 1\nmachine:\n  name: m\n  kernel_args: pcie_ports=compat\n  devices:\n"
        "    - {name: near, model: mock-accel, attach: fabric}\n"
        "    - {name: flat, model: mock-accel}\n"
        "    - {name: pf, model: mock-accel, sriov: native, vfs: {count: 64}}\n");
    const topology::Machine& machine = model.machines[0];
    RunContext context = default_context(machine, "/r");
    EXPECT_THAT(context.device_sockets,
                testing::UnorderedElementsAre(testing::Pair("flat", "/r/flat.sock"),
                                              testing::Pair("fabric", "/r/fabric.sock")));
    const auto args = qemu_args(machine, context);
    ASSERT_TRUE(args);
    const auto devices = values(*args, "-device");
    EXPECT_THAT(
        devices,
        Contains(StartsWith("pcie-root-port,id=rp1,bus=pcie.0,addr=0x8.0,chassis=1,slot=1,")));
    EXPECT_THAT(devices, Contains("pcie-root-port,id=rpf0,bus=pcie.0,addr=0x9.0,chassis=2,slot=2,"
                                  "hotplug=off,x-speed=16,x-width=16"));
    EXPECT_THAT(devices, Contains(HasSubstr(R"("id":"dev-fabric","bus":"rpf0","addr":"0.0",)")));
    EXPECT_EQ(std::count_if(devices.begin(), devices.end(),
                            [](const std::string& one) { return one.starts_with("{"); }),
              2);
    EXPECT_TRUE(kernel_command_line(machine).ends_with(" pcie_ports=native pcie_ports=compat"));
    context.device_sockets.erase("fabric");
    EXPECT_FALSE(qemu_args(machine, context));
    EXPECT_FALSE(libvirt_xml(machine, context));
}

TEST(QemuArgs, FileMayNameARootPortAsAFabricsIsCalled) {
    const topology::Model model = parsed(
        "version: 1\nmachine: {name: m, devices: [{name: a, model: mock-accel, root_port: rpf0}, "
        "{name: b, model: mock-accel, slot: 9}]}");
    EXPECT_EQ(model.machines[0].fabrics.at(0).port.id, "rpf0x");
}

TEST(QemuArgs, ImageBootsFromDiskWithSshForward) {
    const topology::Model model = parsed(
        "version: 1\nmachine: {name: m, image: a.qcow2, accel: kvm}");
    const topology::Machine& machine = model.machines[0];
    RunContext context = default_context(machine, "/r,s");
    const auto args = qemu_args(machine, context);
    ASSERT_TRUE(args);
    // Nodes of stated formats, and a chain that ends whatever the headers of its files say.
    EXPECT_THAT(values(*args, "-blockdev"),
                testing::ElementsAre(
                    R"({"driver":"qcow2","file":{"driver":"file","filename":"/r,s/disk.qcow2"},)"
                    R"("node-name":"disk","backing":{"driver":"qcow2",)"
                    R"("file":{"driver":"file","filename":"a.qcow2","read-only":true},)"
                    R"("read-only":true,"backing":null}})",
                    R"({"driver":"raw","file":{"driver":"file","filename":"/r,s/seed.iso",)"
                    R"("read-only":true},"read-only":true,"node-name":"seed"})"));
    EXPECT_TRUE(values(*args, "-drive").empty());
    context.disk_base.clear();
    EXPECT_THAT(values(*qemu_args(machine, context), "-blockdev"),
                Contains(testing::EndsWith(R"("node-name":"disk","backing":null})")));
    EXPECT_THAT(values(*args, "-netdev"), Contains("user,id=net,hostfwd=tcp:127.0.0.1:2222-:22"));
    EXPECT_THAT(values(*args, "-machine"), Contains("q35,accel=kvm,memory-backend=mem0"));
    EXPECT_TRUE(values(*args, "-kernel").empty());
    context.ssh_port = 0;
    EXPECT_TRUE(values(*qemu_args(machine, context), "-netdev").empty());
}

TEST(QemuArgs, KernelArgumentsAreAppended) {
    const topology::Model model = parsed(
        "version: 1\nmachine: {name: m, kernel_args: loglevel=7 splash}");
    EXPECT_EQ(kernel_command_line(model.machines[0]),
              "console=ttyS0 panic=-1 iomem=relaxed quiet cryptomgr.notests no_timer_check "
              "mimic.hostname=m watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=300 "
              "loglevel=7 splash");
}

TEST(QemuArgs, WatchdogsOfRealCpusAreTheKernels) {
    const topology::Model model = parsed("version: 1\nmachine: {name: m, accel: kvm}");
    EXPECT_TRUE(kernel_command_line(model.machines[0]).ends_with(" mimic.hostname=m"));
}

TEST(QemuArgs, ConsoleLogIsAppendedToOnRequest) {
    const topology::Model model = parsed("version: 1\nmachine: {name: m}");
    RunContext context = default_context(model.machines[0], "/r");
    EXPECT_THAT(values(*qemu_args(model.machines[0], context), "-chardev"),
                Contains(testing::EndsWith(",logfile=/r/console.log")));
    context.append_console = true;
    EXPECT_THAT(values(*qemu_args(model.machines[0], context), "-chardev"),
                Contains(testing::EndsWith(",logfile=/r/console.log,logappend=on")));
}

TEST(QemuArgs, ChannelsThatAreNotWantedAreAbsent) {
    const topology::Model model = parsed("version: 1\nmachine: {name: m}");
    const auto args = qemu_args(model.machines[0], RunContext{});
    ASSERT_TRUE(args);
    EXPECT_EQ(values(*args, "-chardev"), std::vector<std::string>{"null,id=console"});
    EXPECT_TRUE(values(*args, "-qmp").empty());
    EXPECT_TRUE(values(*args, "-pidfile").empty());
}

TEST(Render, DocumentsAreWellFormedXml) {
    if (std::system("command -v xmllint >/dev/null 2>&1") != 0) {
        GTEST_SKIP() << "xmllint is not installed; sudo apt-get install libxml2-utils";
    }
    for (const auto& file : topology::good_files()) {
        const auto model = topology::load(file.string(), devices::all_models());
        ASSERT_TRUE(model) << model.error().message();
        for (const Format format : {Format::kLibvirt, Format::kSvg}) {
            if (format == Format::kLibvirt && model->machines.size() > 1) continue;
            std::FILE* lint = popen("xmllint --noout -", "w");
            ASSERT_NE(lint, nullptr);
            const std::string text = render(*model, format, "/r&<").value();
            std::fwrite(text.data(), 1, text.size(), lint);
            EXPECT_EQ(pclose(lint), 0) << file;
        }
    }
}

TEST(Render, CommandLineSurvivesAShell) {
    const topology::Model model = parsed(kOne);
    const auto text = render(model, Format::kQemu, "/tmp/it's $HOME `x` \\");
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, StartsWith("# A kernel"));
    const std::string only = text->substr(text->find('\n') + 1);
    EXPECT_THAT(only, StartsWith("qemu-system-x86_64 \\\n    -nodefaults"));
    // printf takes the place of QEMU and prints its arguments back, one a line.
    std::string command = "printf '%s\\n'" + only.substr(only.find(' '));
    std::FILE* shell = popen(command.c_str(), "r");
    ASSERT_NE(shell, nullptr);
    std::string printed;
    for (int c = std::fgetc(shell); c != EOF; c = std::fgetc(shell)) {
        printed += static_cast<char>(c);
    }
    EXPECT_EQ(pclose(shell), 0);
    std::string expected;
    const RunContext context = default_context(model.machines[0], "/tmp/it's $HOME `x` \\/m");
    const auto args = qemu_args(model.machines[0], context);
    ASSERT_TRUE(args);
    for (const std::string& arg : *args) expected += arg + "\n";
    EXPECT_EQ(printed, expected);
}

}  // namespace
}  // namespace mimic::outputs
