// SPDX-License-Identifier: Apache-2.0
// A node and an API server for tests of the plugin: a folder that looks like sysfs, and claims in a
// map.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "dra/plugin/preparer.h"

namespace mimic::dra::testing {

/// Driver "gpu.example.com": class "gpu", devices gpu0, gpu1_vf0, CDI kind "example.com/gpu".
const slices::DraFacts& facts();

/// A folder below /tmp that goes with its contents.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// Claims by "namespace/name".
class FakeClaims final : public ClaimSource {
public:
    kube::ApiResult<nlohmann::json> get(const std::string& name_space,
                                        const std::string& name) override;
    kube::ApiResult<std::vector<nlohmann::json>> list() override;

    void put(const nlohmann::json& claim);
    void remove(const std::string& name_space, const std::string& name);
    /// All requests fail with this status until 0 is set.
    void fail_with(int status);
    int requests() const;

private:
    mutable std::mutex mutex_;
    std::map<std::string, nlohmann::json> claims_;
    int status_ = 0;
    int requests_ = 0;
};

/// Devices as folders of `<root>/sys/class/gpu`. VFs come and go when somebody looks, after
/// sriov_numvfs was written.
class FakeNode final : public DeviceSource {
public:
    explicit FakeNode(std::string root);

    void add_pf(const std::string& name, unsigned total_vfs);
    void remove(const std::string& name);
    /// Gives the device a taint of the driver.
    void taint(const std::string& name, const std::string& key);
    std::string class_dir(const std::string& node) const;
    std::string read(const std::string& node, const std::string& file) const;
    void write(const std::string& node, const std::string& file, const std::string& text) const;
    /// VFs do not appear any more.
    void ignore_numvfs(bool ignore) { ignore_numvfs_ = ignore; }

    InventoryPtr snapshot() override;
    InventoryPtr rescan() override;

private:
    void follow_numvfs();

    const std::string root_;
    std::mutex mutex_;
    std::map<std::string, std::string> taints_;
    InventoryPtr inventory_;
    uint64_t version_ = 0;
    bool ignore_numvfs_ = false;
};

/// An allocated claim of one result for each of `devices`, all for request "accel".
nlohmann::json allocated_claim(const ClaimRef& ref, const std::vector<std::string>& devices);

/// ns/c<number>, with a uid of that number.
ClaimRef claim_ref(int number);

/// All of it, with a preparer that can be made again, as after a restart.
class Rig {
public:
    Rig();
    PreparerOptions options() const;
    /// A new preparer on what the one before left; heals.
    void restart(PreparerOptions options);
    void restart() { restart(options()); }

    /// An allocated claim in the API; its reference.
    ClaimRef claim(int number, const std::vector<std::string>& devices);
    PrepareAnswer prepare(const ClaimRef& ref);
    std::string unprepare(const ClaimRef& ref);

    std::string cdi_path(const ClaimRef& ref) const;
    nlohmann::json cdi(const ClaimRef& ref) const;
    /// Names of what is in the CDI folder.
    std::vector<std::string> cdi_files() const;
    std::string status(const std::string& node) const { return node_.read(node, "status"); }

    TemporaryFolder folder_;
    FakeClaims claims_;
    FakeNode node_;
    std::unique_ptr<Preparer> preparer_;
};

}  // namespace mimic::dra::testing
