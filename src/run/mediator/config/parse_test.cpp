// SPDX-License-Identifier: Apache-2.0
// A mediator's file: what all keys mean, and one test per mistake, which is told at its place.
#include "mediator/config/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr const char* kWhole = R"(version: 1
mediator:
  vm_sockets: /tmp/vgpu-mediator-<vm_id>.sock
  socket: /run/m/mediator.sock
  run_folder: /run/m
  rule: fair
  strict_classes: true
  uids: [1000, 107]
  quarantine: {faults: 3, window: 30s, release: 0}
  audit_log: /var/log/m/audit.log
  max_connections: 12
  message_timeout: 500ms
  session_patience: 2s
pools:
  - id: A
    backends:
      - {kind: cpu, threads: 2, memory_bytes: 512M}
      - {name: fast, kind: cuda, device: 1}
  - id: B
    backends:
      - kind: sim
        model: roofline
        parameters: {peak: 1T, bandwidth: 100G}
        scale: 0.5
vms:
  - id: 1
    pool: A
    priority: high
    weight: 400
    limits: {rate: 99.5, burst: 20, queue_depth: 8, memory_bytes: 64M, parallel: 2, job_timeout: 1s}
    uids: [1001]
  - id: 0x10
others:
  pool: B
  weight: 1
)";

// The report on `text`, which must not parse.
std::string report(const std::string& text) {
    const auto config = parse(text, "m.yaml");
    EXPECT_FALSE(config.has_value()) << text;
    return config ? "" : config.error().str();
}

// `kWhole` with its first `from` replaced.
std::string with(const std::string& from, const std::string& to) {
    std::string text = kWhole;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(MediatorConfig, EveryKeyHasItsMeaning) {
    const auto config = parse(kWhole, "m.yaml");
    ASSERT_TRUE(config.has_value()) << config.error().str();
    Config want;
    want.vm_sockets = "/tmp/vgpu-mediator-<vm_id>.sock";
    want.socket = "/run/m/mediator.sock";
    want.run_folder = "/run/m";
    want.strict_classes = true;
    want.uids = {1000, 107};
    want.quarantine = {.faults = 3, .window = 30s, .release = 0s};
    want.audit_log = "/var/log/m/audit.log";
    want.max_connections = 12;
    want.message_timeout = 500ms;
    want.session_patience = 2s;
    want.pools = {
        {'A',
         {{"A0", CpuBackend{2}, uint64_t{512} << 20}, {"fast", CudaBackend{1}, uint64_t{1} << 30}}},
        {'B',
         {{"B0", SimBackend{"roofline", {{"peak", "1T"}, {"bandwidth", "100G"}}, 0.5},
           uint64_t{1} << 30}}}};
    VmConfig one;
    one.id = 1;
    one.pool = 'A';
    one.priority = Priority::kHigh;
    one.weight = 400;
    one.limits = {99.5, 20, 8, uint64_t{64} << 20, 2, 1s};
    one.uids = {1001};
    VmConfig sixteen;
    sixteen.id = 16;
    want.vms = {one, sixteen};
    want.others.emplace();
    want.others->pool = 'B';
    want.others->weight = 1;
    EXPECT_EQ(*config, want);
}

TEST(MediatorConfig, LeastFileHasSafeDefaults) {
    const auto config = parse(
        "version: 1\npools: [{id: A, backends: [{kind: cpu}]}]\nothers: {weight: 50}\n", "m.yaml");
    ASSERT_TRUE(config.has_value()) << config.error().str();
    EXPECT_TRUE(config->uids.empty());  // only the mediator's own user
    EXPECT_EQ(config->quarantine, Quarantine());
    EXPECT_EQ(config->others->limits, Limits());
    EXPECT_EQ(config->rule, RuleName::kFair);
}

TEST(MediatorConfig, MistakesAreToldAtTheirPlace) {
    struct Case {
        const char* from;
        const char* to;
        const char* message;
    };
    const Case cases[] = {
        {"version: 1", "version: 2", "m.yaml:1:10: version is '2'"},
        {"version: 1\n", "", "m.yaml:1:1: file without 'version'"},
        {"  rule: fair", "  rule: fairy",
         "m.yaml:6:9: rule is 'fairy'; expected fair, fifo, strict, "
         "urgency or drm-fair (did you mean 'fair'?)"},
        {"  rule: fair", "  rule: fifo", "m.yaml:7:19: strict_classes with another rule"},
        {"  strict_classes: true", "  strict_clases: true",
         "m.yaml:7:3: unknown key "
         "'strict_clases' of a mediator; "
         "expected 'strict_classes'?"},
        {"vgpu-mediator-<vm_id>.sock", "vgpu.sock", "m.yaml:3:15: vm_sockets has no <vm_id>"},
        {"vgpu-mediator-<vm_id>.sock", "<vm_id>/x.sock", "m.yaml:3:15: vm_sockets has <vm_id> in"},
        {"/run/m/mediator.sock", "mediator.sock",
         "m.yaml:4:11: socket is 'mediator.sock'; "
         "expected an absolute path"},
        {"[1000, 107]", "[1000, root]", "m.yaml:8:16: 'root' is no user id"},
        {"[1000, 107]", "1000", "m.yaml:8:9: '1000' as 'uids'; expected a list"},
        {"faults: 3", "faults: -3", "m.yaml:9:24: faults is '-3'"},
        {"window: 30s", "window: 30", "m.yaml:9:35: window is '30'; expected a duration"},
        {"max_connections: 12", "max_connections: 0", "m.yaml:11:20: max_connections is '0'"},
        {"message_timeout: 500ms", "message_timeout: 0", "m.yaml:12:20: message_timeout is '0'"},
        {"session_patience: 2s", "session_patience: 1e9s", "m.yaml:13:21: session_patience"},
        {"  - id: A", "  - id: AB", "m.yaml:15:9: id is 'AB'; expected a letter"},
        {"threads: 2", "threads: 0", "m.yaml:17:30: threads is '0'"},
        {"threads: 2", "device: 2", "m.yaml:17:29: device of a backend of kind cpu"},
        {"512M", "512MB", "m.yaml:17:47: memory_bytes is '512MB'; expected a size"},
        {"name: fast", "name: A0", "m.yaml:18:9: a second backend called A0"},
        {"name: fast", "name: ../x", "m.yaml:18:16: '../x' is no name of a backend"},
        {"kind: cuda", "kind: rocm", "m.yaml:18:28: kind is 'rocm'; expected cpu, cuda or sim"},
        {"  - id: B", "  - id: A", "m.yaml:19:5: a second pool A"},
        {"{peak: 1T, bandwidth: 100G}", "[1]", "m.yaml:23:21: a list as 'parameters'"},
        {"scale: 0.5", "scale: nan", "m.yaml:24:16: scale is 'nan'"},
        {"    pool: A", "    pool: C", "m.yaml:27:11: there is no pool C"},
        {"priority: high", "priority: urgent", "m.yaml:28:15: priority is 'urgent'"},
        {"weight: 400", "weight: 0", "m.yaml:29:13: weight is '0'; expected a number, 1 to 10000"},
        {"rate: 99.5, ", "", "m.yaml:30:21: burst without rate"},
        {"rate: 99.5", "rate: inf", "m.yaml:30:20: rate is 'inf'"},
        {"queue_depth: 8", "queue_depth: 0", "queue_depth is '0'"},
        {"parallel: 2", "parallel: 65", "parallel is '65'; expected a number, 1 to 64"},
        {"job_timeout: 1s", "job_timeout: 0", "job_timeout is '0'"},
        {"  - id: 0x10", "  - id: 1", "m.yaml:32:9: a second VM 1"},
        {"  - id: 0x10", "  - weight: 1", "m.yaml:32:5: VM without 'id'"},
        {"others:\n", "others: 3\nx:\n", "m.yaml:33:9: '3' where a 'others' should be"},
    };
    for (const auto& [from, to, message] : cases)
        EXPECT_THAT(report(with(from, to)), HasSubstr(message)) << to;
}

TEST(MediatorConfig, AllMistakesAreTold) {
    const std::string all = report("version: 1\nmediator: {rule: x}\npools: []\nvms: [{}]\n");
    EXPECT_THAT(all, HasSubstr("m.yaml:2:18: rule is 'x'"));
    EXPECT_THAT(all, HasSubstr("m.yaml:3:8: no pool"));
    EXPECT_THAT(all, HasSubstr("m.yaml:4:7: VM without 'id'"));
}

TEST(MediatorConfig, TheExamplesAreRight) {
    size_t files = 0;
    for (const auto& file :
         std::filesystem::directory_iterator(MIMIC_SOURCE_DIR "/examples/mediator")) {
        if (!file.path().string().ends_with(".mediator.yaml")) continue;
        ++files;
        const auto config = load(file.path());
        EXPECT_TRUE(config.has_value()) << config.error().message();
    }
    EXPECT_GE(files, 3U);
}

TEST(MediatorConfig, DurationsOfPeople) {
    const auto config = parse(with("window: 30s, release: 0", "window: 1.5m, release: 2h"), "m");
    ASSERT_TRUE(config.has_value()) << config.error().str();
    EXPECT_EQ(config->quarantine.window, 90s);
    EXPECT_EQ(config->quarantine.release, 2h);
    for (const char* bad : {"169h", "m", "1M", "1d", "18446744073709551615h", "-1s"})
        EXPECT_THAT(report(with("window: 30s", std::string("window: ") + bad)),
                    HasSubstr("m.yaml:9:35: window is"))
            << bad;
}

TEST(MediatorConfig, NobodyToServeIsAMistake) {
    EXPECT_THAT(report("version: 1\npools: [{id: A, backends: [{kind: cpu}]}]\n"),
                HasSubstr("no VM could ask"));
    EXPECT_THAT(report("version: 1\nmediator: {vm_sockets: /tmp/<vm_id>.sock}\n"
                       "pools: [{id: A, backends: [{kind: cpu}]}]\nothers: {weight: 1}\n"),
                HasSubstr("vm_sockets without 'vms:'"));
    EXPECT_THAT(report(""), HasSubstr("the file is empty; expected 'version: 1', 'mediator:'"));
}

TEST(MediatorConfig, SocketPathsFitTheirAddress) {
    const std::string folder(90, 'x');
    EXPECT_THAT(report(with("/tmp/vgpu-mediator-", "/" + folder + "/aaaaaa")),
                HasSubstr("vm_sockets gives paths of more than 107 bytes"));
    EXPECT_THAT(report(with("run_folder: /run/m", "run_folder: /" + folder)),
                HasSubstr("it has 91 bytes; expected at most 58"));
    // With the longest name that is there at all.
    const std::string longest = "/" + folder.substr(0, 57);
    EXPECT_EQ((longest + "/backend-" + std::string(32, 'n') + "~63.sock").size(), 107u);
    EXPECT_TRUE(parse(with("run_folder: /run/m", "run_folder: " + longest), "m.yaml"));
    EXPECT_THAT(report(with("run_folder: /run/m", "run_folder: " + longest + "x")),
                HasSubstr("it has 59 bytes; expected at most 58"));
}

// Whatever the bytes are: an answer, and none that takes long.
TEST(MediatorConfig, AnyBytesGetAnAnswer) {
    std::mt19937 random(1);
    const std::string whole = kWhole;
    for (int round = 0; round < 2000; ++round) {
        std::string text = whole;
        for (unsigned edits = random() % 8 + 1; edits > 0; --edits) {
            const size_t at = random() % text.size();
            switch (random() % 3) {
                case 0:
                    text[at] = static_cast<char>(random());
                    break;
                case 1:
                    text.erase(at, random() % 20);
                    break;
                default:
                    text.insert(at, whole.substr(random() % whole.size(), random() % 40));
            }
            if (text.empty()) text = "x";
        }
        const auto config = parse(text, "m.yaml");
        if (!config) {
            EXPECT_FALSE(config.error().str().empty());
        }
    }
}

TEST(MediatorConfig, PoolsOfACommandLine) {
    const auto pool = parse_pool("B=cpu:3,cuda,sim:fixed");
    ASSERT_TRUE(pool.has_value()) << pool.error().message();
    EXPECT_EQ(pool->id, 'B');
    ASSERT_EQ(pool->backends.size(), 3U);
    EXPECT_EQ(std::get<CpuBackend>(pool->backends[0].kind).threads, 3U);
    EXPECT_EQ(std::get<CudaBackend>(pool->backends[1].kind).device, 0U);
    EXPECT_EQ(std::get<SimBackend>(pool->backends[2].kind).model, "fixed");
    Config config;
    config.pools = {*pool};
    name_backends(config);
    EXPECT_EQ(config.pools[0].backends[2].name, "B2");
    for (const char* bad : {"", "A", "A=", "a=cpu", "A=cpu:0", "A=cpu:x", "A=gpu", "A=cpu,",
                            "A=sim:", "AB=cpu", "A=cuda:256"})
        EXPECT_FALSE(parse_pool(bad).has_value()) << bad;
}

TEST(MediatorConfig, LimitsAsValues) {
    EXPECT_EQ(find_problem(Limits()), "");
    const auto with = [](auto change) {
        Limits limits;
        change(limits);
        return find_problem(limits);
    };
    EXPECT_NE(with([](auto& limits) { limits.rate = -1; }), "");
    EXPECT_NE(with([](auto& limits) { limits.rate = NAN; }), "");
    EXPECT_NE(with([](auto& limits) { limits.burst = 3; }), "");
    EXPECT_NE(with([](auto& limits) { limits.queue_depth = 0; }), "");
    EXPECT_NE(with([](auto& limits) { limits.parallel = 0; }), "");
    EXPECT_NE(with([](auto& limits) { limits.job_timeout = 0s; }), "");
}

}  // namespace
}  // namespace mimic::mediator
