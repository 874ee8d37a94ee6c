// SPDX-License-Identifier: Apache-2.0
// parse(, devices::all_models()) on hostile bytes: never a crash, never slow. tests/fuzz has the
// coverage-guided target; this is the part that every run does, from a fixed seed.
#include <chrono>
#include <random>

#include <gmock/gmock.h>

#include "devices/all_models.h"
#include "outputs/outputs.h"
#include "topology/test_files.h"
#include "topology/topology.h"
#include "topology/yaml.h"

namespace mimic::outputs {
namespace {

using namespace topology;  // NOLINT(google-build-using-namespace): a test of both

constexpr auto kTooSlow = std::chrono::seconds(10);  // generous: sanitizers, busy machines

/// MIMIC_FUZZ_ROUNDS mutations, or as many as take about a second.
unsigned rounds() {
    const char* wanted = std::getenv("MIMIC_FUZZ_ROUNDS");
    return wanted != nullptr ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : 1500;
}

std::vector<std::string> corpus() {
    std::vector<std::string> out;
    for (const auto& file : good_files()) out.push_back(read_file(file));
    for (const auto& file : list_files(kTestData / "bad", ".yaml")) {
        if (std::filesystem::file_size(file) > 0) out.push_back(read_file(file));
    }
    return out;
}

std::string mutated(std::string text, const std::vector<std::string>& all, std::mt19937& random) {
    static constexpr std::string_view kBits[] = {
        "{",       "}",  "[", "]",   "&a ",   "*a",       ": ",        "- ",
        "\n",      "\"", "'", "|\n", "---\n", "? ",       "!!",        "count: 4096\n",
        "{index}", "0x", "#", "\t",  "\xff",  "<<: *a\n", "%YAML 9\n", "99999999999",
        "~"};
    const unsigned edits = 1 + static_cast<unsigned>(random() % 4);
    for (unsigned i = 0; i < edits && !text.empty(); ++i) {
        const size_t at = random() % text.size();
        switch (random() % 5) {
            case 0:
                text[at] = static_cast<char>(1 + random() % 255);
                break;
            case 1:
                text.erase(at, 1 + random() % 20);
                break;
            case 2:
                text.insert(at, kBits[random() % std::size(kBits)]);
                break;
            case 3:
                text.insert(at, text.substr(random() % text.size(), random() % 60));
                break;
            default: {
                const std::string& other = all[random() % all.size()];
                text = text.substr(0, at) + other.substr(random() % other.size());
            }
        }
    }
    return text;
}

TEST(Robustness, MutatedFilesNeverCrash) {
    const auto all = corpus();
    const size_t good_count = good_files().size();  // they come first
    std::mt19937 random(1);
    unsigned good = 0;
    unsigned bad = 0;
    for (unsigned round = 0; round < rounds(); ++round) {
        const std::string& start = all[random() % (round % 2 == 0 ? good_count : all.size())];
        const std::string text = mutated(start, all, random);
        const auto model = parse(text, "mutated.yaml", devices::all_models());
        if (!model) {
            ++bad;
            ASSERT_FALSE(model.error().problems().empty());
            ASSERT_LE(model.error().problems().size(), Diagnostics::kMaxProblems);
            ASSERT_FALSE(model.error().str().empty());
            continue;
        }
        ++good;
        ASSERT_FALSE(model->machines.empty());
        if (model->machines.size() > 4) continue;  // rendering is linear, but not free
        for (const Format format :
             {Format::kQemu, Format::kLibvirt, Format::kTree, Format::kSvg, Format::kTable}) {
            if (format != Format::kLibvirt) {
                ASSERT_TRUE(render(*model, format, "/r")) << text;
                continue;
            }
            for (const Machine& machine : model->machines) {  // a document each
                Model one = *model;
                ASSERT_TRUE(keep_machine(one, machine.name)) << text;
                ASSERT_TRUE(render(one, format, "/r")) << text;
            }
        }
    }
    EXPECT_GT(good, 20u);
    EXPECT_GT(bad, 50u);
}

void expect_quick_refusal(const std::string& text, std::string_view name) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(parse(text, "bomb.yaml", devices::all_models())) << name;
    EXPECT_LT(std::chrono::steady_clock::now() - start, kTooSlow) << name;
}

std::string repeated(std::string_view piece, size_t bytes) {
    std::string out;
    while (out.size() + piece.size() <= bytes) out += piece;
    return out;
}

TEST(Robustness, LargeNestedAndRepetitiveInputIsRefusedQuickly) {
    for (const std::string_view piece :
         {"[",  "{",    "- ",     "? ",    "&a ",      "*a ", "!a ",  "a: ",   "- - ",
          "[{", "{a: ", "'",      "\"",    "|",        "#",   "%",    "\n",    " ",
          ":",  ",",    "a: b\n", "- a\n", "&a [*a, ", "{? ", "\xff", "---\n", "a\n\n"}) {
        expect_quick_refusal(repeated(piece, 100000), piece);
    }
    expect_quick_refusal(std::string(kMaxFileBytes + 1, ' '), "too large");
    expect_quick_refusal("version: 1\nmachines:\n" + repeated("- x\n", 200000), "list");
    std::string keys = "version: 1\n";
    for (unsigned i = 0; i < 10000; ++i) keys += "k" + std::to_string(i) + ": 1\n";
    expect_quick_refusal(keys, "keys");
}

TEST(Robustness, CountsMultiplyWithinLimits) {
    expect_quick_refusal(
        "version: 1\nmachines:\n  - name: m{index}\n    count: 64\n    devices:\n" +
            repeated("      - {name: \"d{index}\", model: mock-accel, count: 4096}\n", 100000),
        "counts");
}

TEST(Robustness, LongTemplateChainIsRefused) {
    std::string text = "version: 1\ntemplates:\n  t0: {model: mock-accel}\n";
    for (unsigned i = 1; i < 5000; ++i) {
        text += "  t" + std::to_string(i) + ": {template: t" + std::to_string(i - 1) + "}\n";
    }
    text += "machine: {name: m, devices: [{name: d, template: t4999}]}\n";
    expect_quick_refusal(text, "template chain");
}

TEST(Robustness, SwitchesInChainsLoopsAndCrowdsAreRefusedQuickly) {
    const std::string head = "version: 1\nmachine:\n  name: m\n  switches:\n";
    std::string chain = head;
    for (unsigned i = 0; i < kMaxSwitches; ++i) {
        chain += "    - {name: s" + std::to_string(i) + ", parent: s" + std::to_string(i + 1) +
                 "}\n";
    }
    expect_quick_refusal(chain, "the last parent is missing");
    const std::string last = "    - {name: s" + std::to_string(kMaxSwitches);
    expect_quick_refusal(chain + last + "}\n", "one too many");
    const std::string loop = chain.substr(0, chain.rfind("    - ")) + "    - {name: s" +
                             std::to_string(kMaxSwitches - 1) + ", parent: s0}\n";
    expect_quick_refusal(loop, "loop");
    const std::string deep = chain.substr(0, chain.rfind("    - ")) + "    - {name: s" +
                             std::to_string(kMaxSwitches - 1) + "}\n";
    const auto model = parse(deep, "deep.yaml", devices::all_models());
    ASSERT_FALSE(model);
    EXPECT_THAT(model.error().str(), testing::HasSubstr("needs 8193 buses"));
    expect_quick_refusal(head + repeated("    - {name: \"s{index}\", count: 256}\n", 900000),
                         "crowd");
}

TEST(Robustness, ZeroByteIsRefused) {
    const auto model = parse(std::string_view("version: 1\n\0", 12), "zero.yaml",
                             devices::all_models());
    ASSERT_FALSE(model);
    EXPECT_THAT(model.error().str(), testing::HasSubstr("zero byte"));
}

}  // namespace
}  // namespace mimic::outputs
