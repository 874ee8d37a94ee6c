// SPDX-License-Identifier: Apache-2.0
#include "dra/agent/driver.h"

#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>

#include "base/log.h"

namespace mimic::dra {
namespace {

// A folder of ours whose parents may be missing in a container, too; the kubelet's own are not
// made.
Status make_folders_to(const std::string& path) {
    for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
        const auto folder = path.substr(0, slash);
        if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST && errno != EROFS)
            return fail_errno("cannot make {}", folder);
        if (slash == std::string::npos) break;
    }
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return fail_errno("{}", path);
    return {};
}

size_t count_health(const Inventory& inventory, Health health) {
    return static_cast<size_t>(
        std::count_if(inventory.devices.begin(), inventory.devices.end(),
                      [&](const KnownDevice& device) { return device.health == health; }));
}

size_t count_errors(const PrepareAnswers& answers) {
    return static_cast<size_t>(std::count_if(answers.begin(), answers.end(), [](const auto& entry) {
        return !entry.second.error.empty();
    }));
}

size_t count_errors(const UnprepareAnswers& answers) {
    return static_cast<size_t>(std::count_if(
        answers.begin(), answers.end(), [](const auto& entry) { return !entry.second.empty(); }));
}

void log_errors(std::string_view what, const std::string& uid, const std::string& error) {
    if (!error.empty()) MIMIC_LOG("dra", kWarn, "Claim {} is not {}: {}", uid, what, error);
}

}  // namespace

Driver::Driver(const slices::DraFacts& facts, const AgentOptions& options)
    : facts_(facts), options_(options), claims_(options.api), store_(facts) {}

Result<std::unique_ptr<Driver>> Driver::create(const slices::DraFacts& facts,
                                               const AgentOptions& options) {
    std::unique_ptr<Driver> driver(new Driver(facts, options));
    MIMIC_TRY(driver->start());
    return driver;
}

Status Driver::start_discovery() {
    MIMIC_ASSIGN_OR_RETURN(loop_, EventLoop::create());
    Discovery::Options discovery{.root = options_.root, .vfs_on_demand = options_.vfs_on_demand};
    discovery.health.aer_hold = options_.aer_hold;
    MIMIC_ASSIGN_OR_RETURN(discovery_, Discovery::create(*loop_, facts_, discovery, store_));
    loop_thread_ = std::jthread([this] { loop_->run(); });
    return {};
}

Status Driver::start() {
    MIMIC_ASSIGN_OR_RETURN(
        const auto sockets,
        socket_names(options_.kubelet_dir, std::string(facts_.driver), options_.pod_uid));
    MIMIC_TRY(make_folders_to(sockets.data_dir));
    MIMIC_TRY(make_folders_to(options_.cdi_dir));
    MIMIC_TRY(start_discovery());
    preparer_ = std::make_unique<Preparer>(
        PreparerOptions{.setup = {.facts = &facts_,
                                  .pool = options_.node,
                                  .data_dir = sockets.data_dir,
                                  .cdi_dir = options_.cdi_dir,
                                  .vfs_on_demand = options_.vfs_on_demand,
                                  .hook = options_.hook},
                        .boot_id = options_.boot_id},
        claims_, static_cast<DeviceSource&>(*this));
    MIMIC_TRY(preparer_->heal());
    publisher_ = std::make_unique<Publisher>(PublisherConfig{
        .client = options_.api, .driver = std::string(facts_.driver), .node = options_.node});
    const auto timed = [this](Method method, size_t claims, const auto& call) {
        calls_.begin(method);
        const auto begin = std::chrono::steady_clock::now();
        auto answers = call();
        calls_.end(method, std::chrono::steady_clock::now() - begin, claims, count_errors(answers));
        return answers;
    };
    KubeletServerOptions server{
        .sockets = sockets,
        .driver = std::string(facts_.driver),
        .pool = options_.node,
        .prepare =
            [this, timed](std::span<const ClaimRef> refs) {
                auto answers = timed(Method::kPrepare, refs.size(),
                                     [&] { return preparer_->prepare(refs); });
                for (const auto& [uid, answer] : answers) log_errors("prepared", uid, answer.error);
                return answers;
            },
        .unprepare =
            [this, timed](std::span<const ClaimRef> refs) {
                auto answers = timed(Method::kUnprepare, refs.size(),
                                     [&] { return preparer_->unprepare(refs); });
                for (const auto& [uid, error] : answers) log_errors("unprepared", uid, error);
                return answers;
            },
        .registered = [this](const std::string& error) { on_registered(error); }};
    MIMIC_ASSIGN_OR_RETURN(server_, KubeletServer::create(std::move(server)));
    listener_ = store_.add_listener(
        [this](const InventoryPtr& inventory) { on_inventory(inventory); });
    cleaner_ = std::jthread([this](const std::stop_token& stop) { clean_up(stop); });
    return {};
}

Driver::~Driver() {
    // The kubelet first, so that nobody asks any more; then what would answer it.
    if (server_) server_->stop();
    cleaner_ = {};
    if (listener_ != 0) store_.remove_listener(listener_);
    server_.reset();
    publisher_.reset();
    preparer_.reset();
    if (loop_) loop_->stop();
    loop_thread_ = {};
    discovery_.reset();
}

void Driver::on_registered(const std::string& error) {
    registered_ = error.empty();
    if (error.empty()) {
        MIMIC_LOG("dra", kInfo, "The kubelet knows driver {}", facts_.driver);
        return;
    }
    ++registration_errors_;
    MIMIC_LOG("dra", kError, "The kubelet refuses driver {}: {}", facts_.driver, error);
}

void Driver::on_inventory(const InventoryPtr& inventory) {
    std::vector<std::string> problems;
    publisher_->publish(pool_of(
        *inventory,
        {.node = options_.node, .vfs_on_demand = options_.vfs_on_demand, .shared = options_.shared},
        &problems));
    std::string text;
    for (const auto& problem : problems) text += problem + "\n";
    if (text != last_problems_) {
        for (const auto& problem : problems) MIMIC_LOG("dra", kWarn, "{}", problem);
        last_problems_ = std::move(text);
    }
    server_->set_inventory(inventory);
}

void Driver::clean_up(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
        const auto removed = preparer_->remove_stale();
        if (removed) {
            stale_claims_ += *removed;
        } else {
            ++cleanup_errors_;
            MIMIC_LOG("dra", kWarn, "Stale claims cannot be looked for: {}",
                      removed.error().message());
        }
        wake.wait_for(lock, stop, options_.cleanup_period, [] { return false; });
    }
}

InventoryPtr Driver::snapshot() {
    return store_.snapshot();
}

InventoryPtr Driver::rescan() {
    return discovery_->rescan();
}

Status Driver::check_health() {
    auto checked = server_->self_check(std::chrono::seconds(3));
    if (!checked) return tl::unexpected(std::move(checked).error().with_context(facts_.driver));
    return {};
}

Status Driver::check_ready() const {
    if (!registered_)
        return fail(std::errc::not_connected, "{}: the kubelet does not know the driver (yet)",
                    facts_.driver);
    const auto stats = publisher_->stats();
    if (!stats.settled)
        return fail(std::errc::not_connected,
                    "{}: the ResourceSlices are not what they should be{}{}", facts_.driver,
                    stats.last_error.empty() ? " (yet)" : ": ", stats.last_error);
    return {};
}

AgentFigures Driver::figures() const {
    const auto inventory = store_.snapshot();
    const auto stats = publisher_->stats();
    return {.driver = std::string(facts_.driver),
            .calls = &calls_,
            .prepared_claims = preparer_->prepared_claims(),
            .prepared_devices = preparer_->prepared_devices(),
            .devices_healthy = count_health(*inventory, Health::kHealthy),
            .devices_unhealthy = count_health(*inventory, Health::kUnhealthy),
            .devices_unknown = count_health(*inventory, Health::kUnknown),
            .registered = registered_,
            .registration_errors = registration_errors_,
            .health_streams = server_->health_streams(),
            .stale_claims = stale_claims_,
            .cleanup_errors = cleanup_errors_,
            .scans = discovery_->scans(),
            .slices = stats.slices,
            .slice_writes = stats.writes,
            .slice_conflicts = stats.conflicts,
            .slice_errors = stats.errors,
            .slice_foreign_changes = stats.foreign_changes,
            .slices_settled = stats.settled,
            .slice_sync_seconds = stats.last_sync_seconds};
}

}  // namespace mimic::dra
