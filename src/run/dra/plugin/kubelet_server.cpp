// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/kubelet_server.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "base/private_files.h"
#include "base/unique_fd.h"
#include "dra/plugin/dra_service.h"
#include "dra/plugin/files.h"
#include "dra/plugin/health_service.h"
#include "dra/plugin/names.h"
#include "dra/plugin/proto/pluginregistration_v1.grpc.pb.h"

namespace mimic::dra {
namespace {

// Newest first: the kubelet takes the first that it knows.
constexpr std::array<const char*, 4> kVersions = {
    "v1.DRAPlugin", "v1beta1.DRAPlugin", "v1.DRAResourceHealth", "v1alpha1.DRAResourceHealth"};

// Held as long as the instance lives: two of one name would take each other's sockets.
Result<UniqueFd> take_name(const std::string& service_socket) {
    const auto path = service_socket + ".lock";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("{}", path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK) return fail_errno("lock {}", path);
    return fail(std::errc::address_in_use,
                "another instance of the driver serves {}; end it, or give each a --pod-uid of its "
                "own for a rolling update",
                service_socket);
}

grpc::Status call_with(std::chrono::milliseconds timeout,
                       const std::function<grpc::Status(grpc::ClientContext&)>& call) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    context.set_wait_for_ready(true);
    return call(context);
}

}  // namespace

class KubeletServer::Impl {
public:
    explicit Impl(KubeletServerOptions options)
        : options_(std::move(options)),
          streams_({.pool = options_.pool,
                    .max_streams = static_cast<size_t>(options_.max_health_streams),
                    .period = options_.health_period}),
          health_v1_(make_health_v1(streams_)),
          health_v1alpha1_(make_health_v1alpha1(streams_)),
          quota_("mimic-dra") {
        quota_.SetMaxThreads(options_.max_threads);
    }

    Status start();
    void stop(std::chrono::milliseconds grace);
    Status self_check(std::chrono::milliseconds timeout);
    HealthStreams& streams() { return streams_; }

private:
    class RegistrationService final : public pluginregistration::Registration::Service {
    public:
        explicit RegistrationService(const KubeletServerOptions& options) : options_(options) {}

        // NOLINTBEGIN(readability-identifier-naming): gRPC's names
        grpc::Status GetInfo(grpc::ServerContext* /*context*/,
                             const pluginregistration::InfoRequest* /*request*/,
                             pluginregistration::PluginInfo* out) override {
            out->set_type("DRAPlugin");
            out->set_name(options_.driver);
            out->set_endpoint(options_.sockets.service);
            for (const char* const version : kVersions) out->add_supported_versions(version);
            return grpc::Status::OK;
        }

        grpc::Status NotifyRegistrationStatus(
            grpc::ServerContext* /*context*/, const pluginregistration::RegistrationStatus* status,
            pluginregistration::RegistrationStatusResponse* /*out*/) override {
            const std::string error = status->plugin_registered()
                                          ? ""
                                          : shown(status->error().empty() ? "no reason given"
                                                                          : status->error());
            if (options_.registered) options_.registered(error);
            if (error.empty()) return grpc::Status::OK;
            return {grpc::StatusCode::FAILED_PRECONDITION,
                    "the kubelet refused the driver: " + error};
        }
        // NOLINTEND(readability-identifier-naming)

    private:
        const KubeletServerOptions& options_;
    };

    // A socket file that is ours, to be removed when we end; an instance that came later may have
    // put its own there.
    class SocketFile {
    public:
        explicit SocketFile(const std::string& path) : path_(path) {
            struct stat info {};
            if (::stat(path.c_str(), &info) == 0) inode_ = info.st_ino;
            // Only root's kubelet has anything to say here.
            ::chmod(path.c_str(), 0600);
        }
        void remove() const {
            struct stat info {};
            if (::stat(path_.c_str(), &info) == 0 && info.st_ino == inode_) ::unlink(path_.c_str());
        }

    private:
        const std::string path_;
        ino_t inode_ = 0;
    };

    Result<std::unique_ptr<grpc::Server>> serve(const std::string& path,
                                                const std::vector<grpc::Service*>& services);

    const KubeletServerOptions options_;
    HealthStreams streams_;
    DraService<ApiV1> dra_v1_{options_};
    DraService<ApiV1beta1> dra_v1beta1_{options_};
    RegistrationService registration_{options_};
    std::unique_ptr<grpc::Service> health_v1_, health_v1alpha1_;
    grpc::ResourceQuota quota_;
    UniqueFd name_;
    std::optional<SocketFile> service_file_, registration_file_;
    std::mutex mutex_;
    std::unique_ptr<grpc::Server> service_server_, registration_server_;
};

Result<std::unique_ptr<grpc::Server>> KubeletServer::Impl::serve(
    const std::string& path, const std::vector<grpc::Service*>& services) {
    MIMIC_TRY(remove_file(path));
    grpc::ServerBuilder builder;
    builder.SetResourceQuota(quota_);
    builder.SetMaxReceiveMessageSize(static_cast<int>(options_.max_message_bytes));
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 64);
    builder.AddListeningPort(unix_uri(path), grpc::InsecureServerCredentials());
    for (grpc::Service* const service : services) builder.RegisterService(service);
    auto server = builder.BuildAndStart();
    if (server == nullptr)
        return fail(std::errc::address_not_available,
                    "cannot listen at {}: is its folder there, and writable?", path);
    return server;
}

Status KubeletServer::Impl::start() {
    grpc::EnableDefaultHealthCheckService(true);
    MIMIC_ASSIGN_OR_RETURN(name_, take_name(options_.sockets.service));
    MIMIC_ASSIGN_OR_RETURN(
        service_server_, serve(options_.sockets.service, {&dra_v1_, &dra_v1beta1_, health_v1_.get(),
                                                          health_v1alpha1_.get()}));
    service_file_.emplace(options_.sockets.service);
    MIMIC_ASSIGN_OR_RETURN(registration_server_,
                           serve(options_.sockets.registration, {&registration_}));
    registration_file_.emplace(options_.sockets.registration);
    return {};
}

void KubeletServer::Impl::stop(std::chrono::milliseconds grace) {
    const std::lock_guard lock(mutex_);
    // The kubelet forgets a plugin when its registration socket goes, so that comes first.
    if (registration_file_) registration_file_->remove();
    registration_file_.reset();
    const auto deadline = std::chrono::system_clock::now() + grace;
    if (registration_server_) registration_server_->Shutdown(deadline);
    registration_server_.reset();
    if (service_server_) service_server_->Shutdown(deadline);
    service_server_.reset();
    if (service_file_) service_file_->remove();
    service_file_.reset();
    name_.reset();
}

Status KubeletServer::Impl::self_check(std::chrono::milliseconds timeout) {
    const auto registration = pluginregistration::Registration::NewStub(grpc::CreateChannel(
        unix_uri(options_.sockets.registration), grpc::InsecureChannelCredentials()));
    pluginregistration::PluginInfo info;
    auto status = call_with(timeout, [&](grpc::ClientContext& context) {
        return registration->GetInfo(&context, {}, &info);
    });
    if (!status.ok()) return fail(std::errc::io_error, "GetInfo: {}", status.error_message());
    if (info.name() != options_.driver)
        return fail(std::errc::io_error, "GetInfo: another driver, {}, answers at {}",
                    shown(info.name()), options_.sockets.registration);
    const auto plugin = k8s::io::kubelet::pkg::apis::dra::v1::DRAPlugin::NewStub(
        grpc::CreateChannel(unix_uri(info.endpoint()), grpc::InsecureChannelCredentials()));
    ApiV1::PrepareResponse response;
    status = call_with(timeout, [&](grpc::ClientContext& context) {
        return plugin->NodePrepareResources(&context, {}, &response);
    });
    if (!status.ok())
        return fail(std::errc::io_error, "NodePrepareResources: {}", status.error_message());
    return {};
}

Result<std::unique_ptr<KubeletServer>> KubeletServer::create(KubeletServerOptions options) {
    auto impl = std::make_unique<Impl>(std::move(options));
    MIMIC_TRY(impl->start());
    return std::unique_ptr<KubeletServer>(new KubeletServer(std::move(impl)));
}

KubeletServer::KubeletServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

KubeletServer::~KubeletServer() {
    stop();
}

void KubeletServer::stop(std::chrono::milliseconds grace) {
    impl_->stop(grace);
}

void KubeletServer::set_inventory(InventoryPtr inventory) {
    impl_->streams().set_inventory(std::move(inventory));
}

Status KubeletServer::self_check(std::chrono::milliseconds timeout) {
    return impl_->self_check(timeout);
}

size_t KubeletServer::health_streams() const {
    return impl_->streams().count();
}

}  // namespace mimic::dra
