// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/testing/rig.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "dra/plugin/cdi.h"

namespace mimic::dra::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr slices::DraAttribute kAttributes[] = {
    {.id = "uuid", .sysfs = "uuid"},
    {.id = "memory", .sysfs = "memory_size", .kind = slices::DraAttribute::Kind::kCapacity},
};

constexpr slices::DraFacts kFacts = {
    .driver = "gpu.example.com",
    .sysfs_class = "gpu",
    .node_prefix = "gpu",
    .cdi_class = "gpu",
    .cdi_vendor = "example.com",
    .env_prefix = "GPU",
    .attributes = kAttributes,
    .status_file = "status",
    .total_vfs_file = "sriov_totalvfs",
    .num_vfs_file = "sriov_numvfs",
};

std::string read_text(const std::string& path) {
    std::ifstream in(path);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

void write_text(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text << '\n';
}

unsigned number_of(const std::string& text) {
    return text.empty() ? 0 : static_cast<unsigned>(std::strtoul(text.c_str(), nullptr, 0));
}

}  // namespace

const slices::DraFacts& facts() {
    return kFacts;
}

TemporaryFolder::TemporaryFolder() {
    std::string name = "/tmp/mimic-dra-test-XXXXXX";
    MIMIC_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

kube::ApiResult<json> FakeClaims::get(const std::string& name_space, const std::string& name) {
    const std::lock_guard lock(mutex_);
    ++requests_;
    if (status_ != 0)
        return tl::unexpected(
            kube::ApiError{.status = status_, .reason = "Test", .message = "no luck"});
    const auto found = claims_.find(name_space + "/" + name);
    if (found == claims_.end())
        return tl::unexpected(
            kube::ApiError{.status = 404, .reason = "NotFound", .message = "not found"});
    return found->second;
}

kube::ApiResult<std::vector<json>> FakeClaims::list() {
    const std::lock_guard lock(mutex_);
    ++requests_;
    if (status_ != 0)
        return tl::unexpected(
            kube::ApiError{.status = status_, .reason = "Test", .message = "no luck"});
    std::vector<json> out;
    for (const auto& [name, claim] : claims_) out.push_back(claim);
    return out;
}

void FakeClaims::put(const json& claim) {
    const std::lock_guard lock(mutex_);
    const auto& metadata = claim.at("metadata");
    claims_[metadata.at("namespace").get<std::string>() + "/" +
            metadata.at("name").get<std::string>()] = claim;
}

void FakeClaims::remove(const std::string& name_space, const std::string& name) {
    const std::lock_guard lock(mutex_);
    claims_.erase(name_space + "/" + name);
}

void FakeClaims::fail_with(int status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
}

int FakeClaims::requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
}

FakeNode::FakeNode(std::string root) : root_(std::move(root)) {
    fs::create_directories(root_ + "/sys/class/gpu");
    rescan();
}

std::string FakeNode::class_dir(const std::string& node) const {
    return root_ + "/sys/class/gpu/" + node;
}

std::string FakeNode::read(const std::string& node, const std::string& file) const {
    return read_text(class_dir(node) + "/" + file);
}

void FakeNode::write(const std::string& node, const std::string& file,
                     const std::string& text) const {
    write_text(class_dir(node) + "/" + file, text);
}

void FakeNode::add_pf(const std::string& name, unsigned total_vfs) {
    fs::create_directories(class_dir(name));
    write(name, "status", "0x00000000");
    write(name, "uuid", "uuid-of-" + name);
    write(name, "memory_size", "1024");
    write(name, "sriov_totalvfs", std::to_string(total_vfs));
    write(name, "sriov_numvfs", "0");
    rescan();
}

void FakeNode::remove(const std::string& name) {
    fs::remove_all(class_dir(name));
    rescan();
}

void FakeNode::taint(const std::string& name, const std::string& key) {
    {
        const std::lock_guard lock(mutex_);
        taints_[name] = key;
    }
    rescan();
}

void FakeNode::follow_numvfs() {
    std::vector<std::string> nodes;
    for (const auto& entry : fs::directory_iterator(root_ + "/sys/class/gpu"))
        nodes.push_back(entry.path().filename());
    for (const auto& node : nodes) {
        if (node.find("_vf") != std::string::npos) {
            const auto pf = node.substr(0, node.find("_vf"));
            const auto index = number_of(node.substr(node.find("_vf") + 3));
            if (number_of(read(pf, "sriov_numvfs")) <= index) fs::remove_all(class_dir(node));
            continue;
        }
        for (unsigned i = 0; i < number_of(read(node, "sriov_numvfs")); ++i) {
            const auto vf = node + "_vf" + std::to_string(i);
            if (fs::exists(class_dir(vf))) continue;
            fs::create_directories(class_dir(vf));
            write(vf, "status", "0x00000000");
            write(vf, "uuid", "uuid-of-" + vf);
        }
    }
}

InventoryPtr FakeNode::snapshot() {
    const std::lock_guard lock(mutex_);
    return inventory_;
}

InventoryPtr FakeNode::rescan() {
    const std::lock_guard lock(mutex_);
    if (!ignore_numvfs_) follow_numvfs();
    auto out = std::make_shared<Inventory>();
    out->facts = &kFacts;
    out->version = ++version_;
    for (const auto& entry : fs::directory_iterator(root_ + "/sys/class/gpu")) {
        KnownDevice device;
        device.view.node = entry.path().filename();
        device.name = device.view.node;
        std::replace(device.name.begin(), device.name.end(), '_', '-');
        device.class_dir = entry.path();
        device.dev_node = "/dev/" + device.view.node;
        device.dev_major = 240;
        device.dev_minor = static_cast<unsigned>(out->devices.size());
        device.health = Health::kHealthy;
        device.view.pci_address = "0000:01:00.0";
        device.view.total_vfs = number_of(read(device.view.node, "sriov_totalvfs"));
        device.view.files["uuid"] = read(device.view.node, "uuid");
        if (const auto vf = device.view.node.find("_vf"); vf != std::string::npos)
            device.view.parent = device.view.node.substr(0, vf);
        if (const auto found = taints_.find(device.name); found != taints_.end())
            device.view.taints.push_back(
                {.key = found->second, .value = "", .effect = slices::Taint::Effect::kNoExecute});
        out->devices.push_back(std::move(device));
    }
    std::sort(out->devices.begin(), out->devices.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    inventory_ = out;
    return out;
}

ClaimRef claim_ref(int number) {
    return {.name_space = "ns",
            .uid = fmt::format("00000000-0000-0000-0000-{:012}", number),
            .name = fmt::format("c{}", number)};
}

json allocated_claim(const ClaimRef& ref, const std::vector<std::string>& devices) {
    json results = json::array();
    for (const auto& device : devices)
        results.push_back({{"request", "accel"},
                           {"driver", kFacts.driver},
                           {"pool", "node1"},
                           {"device", device}});
    return {{"metadata", {{"name", ref.name}, {"namespace", ref.name_space}, {"uid", ref.uid}}},
            {"status", {{"allocation", {{"devices", {{"results", std::move(results)}}}}}}}};
}

Rig::Rig() : node_(folder_.path()) {
    fs::create_directories(folder_.path() + "/data");
    fs::create_directories(folder_.path() + "/cdi");
    node_.add_pf("gpu0", 0);
    node_.add_pf("gpu1", 4);
    restart();
}

PreparerOptions Rig::options() const {
    return {.setup = {.facts = &kFacts,
                      .pool = "node1",
                      .data_dir = folder_.path() + "/data",
                      .cdi_dir = folder_.path() + "/cdi"},
            .boot_id = "boot-1"};
}

void Rig::restart(PreparerOptions options) {
    preparer_ = std::make_unique<Preparer>(std::move(options), claims_, node_);
    const auto healed = preparer_->heal();
    MIMIC_CHECK(healed.has_value());
}

ClaimRef Rig::claim(int number, const std::vector<std::string>& devices) {
    const auto ref = claim_ref(number);
    claims_.put(allocated_claim(ref, devices));
    return ref;
}

PrepareAnswer Rig::prepare(const ClaimRef& ref) {
    auto answers = preparer_->prepare({&ref, 1});
    MIMIC_CHECK(answers.size() == 1 && answers.begin()->first == ref.uid);
    return answers.begin()->second;
}

std::string Rig::unprepare(const ClaimRef& ref) {
    auto answers = preparer_->unprepare({&ref, 1});
    MIMIC_CHECK(answers.size() == 1 && answers.begin()->first == ref.uid);
    return answers.begin()->second;
}

std::string Rig::cdi_path(const ClaimRef& ref) const {
    return fmt::format("{}/cdi/example.com-gpu_{}.json", folder_.path(), ref.uid);
}

json Rig::cdi(const ClaimRef& ref) const {
    return json::parse(read_text(cdi_path(ref)), nullptr, false);
}

std::vector<std::string> Rig::cdi_files() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_.path() + "/cdi"))
        out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace mimic::dra::testing
