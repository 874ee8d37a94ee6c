// SPDX-License-Identifier: Apache-2.0
// The plugin's sockets, called as a kubelet calls them.
#include "dra/plugin/kubelet_server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <filesystem>
#include <thread>

#include "dra/plugin/proto/dra_health_v1.grpc.pb.h"
#include "dra/plugin/proto/dra_health_v1alpha1.grpc.pb.h"
#include "dra/plugin/proto/dra_v1.grpc.pb.h"
#include "dra/plugin/proto/dra_v1beta1.grpc.pb.h"
#include "dra/plugin/proto/pluginregistration_v1.grpc.pb.h"
#include "dra/plugin/testing/rig.h"

namespace mimic::dra {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Rig;
namespace dra_v1 = k8s::io::kubelet::pkg::apis::dra::v1;
namespace dra_v1beta1 = k8s::io::kubelet::pkg::apis::dra::v1beta1;

constexpr std::chrono::seconds kPatience(60);

std::shared_ptr<grpc::Channel> connect(const std::string& path) {
    // Without the process-wide pool: a server that comes back is a new one.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(unix_uri(path), grpc::InsecureChannelCredentials(), arguments);
}

void be_patient(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.set_wait_for_ready(true);
}

class KubeletServerTest : public ::testing::Test {
protected:
    KubeletServerTest() {
        std::filesystem::create_directories(kubelet_dir() + "/plugins_registry");
        std::filesystem::create_directories(kubelet_dir() + "/plugins/gpu.example.com");
    }

    std::string kubelet_dir() const { return rig_.folder_.path() + "/kubelet"; }

    KubeletServerOptions options(const std::string& pod_uid = "") {
        return {.sockets = *socket_names(kubelet_dir(), "gpu.example.com", pod_uid),
                .driver = "gpu.example.com",
                .pool = "node1",
                .prepare = [this](auto refs) { return rig_.preparer_->prepare(refs); },
                .unprepare = [this](auto refs) { return rig_.preparer_->unprepare(refs); },
                .registered = [this](const std::string& error) { registered_.push_back(error); }};
    }

    void serve(KubeletServerOptions options) {
        auto server = KubeletServer::create(std::move(options));
        ASSERT_TRUE(server) << server.error().message();
        server_ = std::move(*server);
    }

    Rig rig_;
    std::vector<std::string> registered_;
    std::unique_ptr<KubeletServer> server_;
};

template <typename Stub, typename Request, typename Response>
Response prepare(Stub& stub, const std::vector<ClaimRef>& refs) {
    Request request;
    for (const auto& ref : refs) {
        auto& claim = *request.add_claims();
        claim.set_namespace_(ref.name_space);
        claim.set_uid(ref.uid);
        claim.set_name(ref.name);
    }
    grpc::ClientContext context;
    be_patient(context);
    Response response;
    const auto status = stub.NodePrepareResources(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
}

dra_v1::NodePrepareResourcesResponse prepare_v1(dra_v1::DRAPlugin::Stub& stub,
                                                const std::vector<ClaimRef>& refs) {
    return prepare<dra_v1::DRAPlugin::Stub, dra_v1::NodePrepareResourcesRequest,
                   dra_v1::NodePrepareResourcesResponse>(stub, refs);
}

TEST_F(KubeletServerTest, RegistersPreparesAndUnprepares) {
    serve(options());
    const auto registration = pluginregistration::Registration::NewStub(
        connect(kubelet_dir() + "/plugins_registry/gpu.example.com-reg.sock"));
    pluginregistration::PluginInfo info;
    {
        grpc::ClientContext context;
        be_patient(context);
        ASSERT_TRUE(registration->GetInfo(&context, {}, &info).ok());
    }
    EXPECT_EQ(info.type(), "DRAPlugin");
    EXPECT_EQ(info.name(), "gpu.example.com");
    EXPECT_EQ(info.endpoint(), kubelet_dir() + "/plugins/gpu.example.com/dra.sock");
    EXPECT_THAT(info.supported_versions(),
                ElementsAre("v1.DRAPlugin", "v1beta1.DRAPlugin", "v1.DRAResourceHealth",
                            "v1alpha1.DRAResourceHealth"));
    pluginregistration::RegistrationStatus told;
    pluginregistration::RegistrationStatusResponse nothing;
    {
        told.set_plugin_registered(true);
        grpc::ClientContext context;
        be_patient(context);
        EXPECT_TRUE(registration->NotifyRegistrationStatus(&context, told, &nothing).ok());
    }
    {
        told.set_plugin_registered(false);
        told.set_error("do not\nlike it");
        grpc::ClientContext context;
        be_patient(context);
        const auto status = registration->NotifyRegistrationStatus(&context, told, &nothing);
        EXPECT_THAT(status.error_message(), HasSubstr("do not?like it"));
    }
    EXPECT_THAT(registered_, ElementsAre("", "do not?like it"));

    const auto plugin = dra_v1::DRAPlugin::NewStub(connect(info.endpoint()));
    const auto ref = rig_.claim(1, {"gpu0"});
    const auto answer = prepare_v1(*plugin, {ref, testing::claim_ref(2)});
    ASSERT_EQ(answer.claims().size(), 2U);
    const auto& good = answer.claims().at(ref.uid);
    EXPECT_EQ(good.error(), "");
    ASSERT_EQ(good.devices_size(), 1);
    EXPECT_THAT(good.devices(0).request_names(), ElementsAre("accel"));
    EXPECT_EQ(good.devices(0).pool_name(), "node1");
    EXPECT_EQ(good.devices(0).device_name(), "gpu0");
    EXPECT_EQ(good.devices(0).cdi_device_ids(0), "example.com/gpu=" + ref.uid + "-gpu0");
    EXPECT_FALSE(good.devices(0).has_share_id());
    EXPECT_THAT(answer.claims().at(testing::claim_ref(2).uid).error(), HasSubstr("does not exist"));
    EXPECT_EQ(rig_.cdi(ref)["kind"], "example.com/gpu");

    // Another kubelet, of 1.33.
    const auto older = dra_v1beta1::DRAPlugin::NewStub(connect(info.endpoint()));
    const auto same =
        prepare<dra_v1beta1::DRAPlugin::Stub, dra_v1beta1::NodePrepareResourcesRequest,
                dra_v1beta1::NodePrepareResourcesResponse>(*older, {ref});
    EXPECT_EQ(same.claims().at(ref.uid).devices(0).cdi_device_ids(0),
              good.devices(0).cdi_device_ids(0));

    dra_v1::NodeUnprepareResourcesRequest request;
    request.add_claims()->set_uid(ref.uid);
    request.add_claims()->set_uid("unknown");
    dra_v1::NodeUnprepareResourcesResponse ended;
    grpc::ClientContext context;
    be_patient(context);
    ASSERT_TRUE(plugin->NodeUnprepareResources(&context, request, &ended).ok());
    EXPECT_EQ(ended.claims().size(), 2U);
    EXPECT_EQ(ended.claims().at(ref.uid).error(), "");
    EXPECT_TRUE(rig_.cdi_files().empty());
}

TEST_F(KubeletServerTest, ChecksItself) {
    serve(options());
    EXPECT_TRUE(server_->self_check(kPatience));
    server_->stop();
    EXPECT_FALSE(server_->self_check(std::chrono::milliseconds(50)));
}

TEST_F(KubeletServerTest, RemovesStaleSocketsAndItsOwn) {
    const auto names = options().sockets;
    for (const auto& path : {names.service, names.registration})
        std::filesystem::create_symlink("/nowhere", path);
    serve(options());
    EXPECT_TRUE(server_->self_check(kPatience));
    struct stat info {};
    ASSERT_EQ(::stat(names.service.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    server_.reset();
    EXPECT_FALSE(std::filesystem::exists(names.service));
    EXPECT_FALSE(std::filesystem::exists(names.registration));
}

TEST_F(KubeletServerTest, TwoOfOneNameDoNotTakeEachOthersSockets) {
    serve(options());
    const auto second = KubeletServer::create(options());
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message(), HasSubstr("another instance of the driver serves"));
    // During a rolling update each has a name of its own.
    const auto newer = KubeletServer::create(options("8a6e0804-2bd0-4672-b79d-d97027f9071a"));
    ASSERT_TRUE(newer) << newer.error().message();
    EXPECT_TRUE((*newer)->self_check(kPatience));
    server_.reset();
    EXPECT_TRUE((*newer)->self_check(kPatience));
}

TEST_F(KubeletServerTest, SaysWhichFolderIsMissing) {
    std::filesystem::remove_all(kubelet_dir() + "/plugins_registry");
    const auto server = KubeletServer::create(options());
    ASSERT_FALSE(server);
    EXPECT_THAT(server.error().message(), HasSubstr("plugins_registry/gpu.example.com-reg.sock"));
    EXPECT_FALSE(std::filesystem::exists(options().sockets.service));
}

TEST_F(KubeletServerTest, TakesABatchAndRefusesWhatIsTooLarge) {
    auto limited = options();
    limited.max_message_bytes = size_t{256} << 10;
    serve(limited);
    const auto plugin = dra_v1::DRAPlugin::NewStub(connect(limited.sockets.service));
    std::vector<ClaimRef> refs;
    for (int i = 0; i < 128; ++i) refs.push_back(testing::claim_ref(i));
    refs.push_back({"ns", std::string(size_t{64} << 10, 'u'), std::string(size_t{64} << 10, 'n')});
    const auto answer = prepare_v1(*plugin, refs);
    EXPECT_EQ(answer.claims().size(), 129U);
    for (const auto& [uid, entry] : answer.claims()) EXPECT_NE(entry.error(), "");

    dra_v1::NodePrepareResourcesRequest request;
    request.add_claims()->set_uid(std::string(size_t{512} << 10, 'u'));
    dra_v1::NodePrepareResourcesResponse response;
    grpc::ClientContext context;
    be_patient(context);
    const auto status = plugin->NodePrepareResources(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(prepare_v1(*plugin, {testing::claim_ref(1)}).claims().size(), 1U);
}

// Reads until the message fits, or the stream ends.
template <typename Reader, typename Response>
bool read_until(Reader& reader, Response& response,
                const std::function<bool(const Response&)>& fits) {
    while (reader.Read(&response)) {
        if (fits(response)) return true;
    }
    return false;
}

TEST_F(KubeletServerTest, StreamsHealth) {
    auto quick = options();
    quick.health_period = std::chrono::milliseconds(50);
    serve(quick);
    server_->set_inventory(rig_.node_.snapshot());
    const auto newer = v1::DRAResourceHealth::NewStub(connect(quick.sockets.service));
    const auto older = v1alpha1::DRAResourceHealth::NewStub(connect(quick.sockets.service));
    grpc::ClientContext context, older_context;
    be_patient(context);
    be_patient(older_context);
    const auto reader = newer->NodeWatchResources(&context, {});
    const auto older_reader = older->NodeWatchResources(&older_context, {});
    v1::NodeWatchResourcesResponse response;
    v1alpha1::NodeWatchResourcesResponse older_response;
    ASSERT_TRUE((read_until<decltype(*reader), v1::NodeWatchResourcesResponse>(
        *reader, response, [](const auto& message) { return message.devices_size() == 2; })));
    EXPECT_EQ(response.devices(0).device().pool_name(), "node1");
    EXPECT_EQ(response.devices(0).device().device_name(), "gpu0");
    EXPECT_EQ(response.devices(0).health(), v1::HEALTHY);
    EXPECT_EQ(response.devices(0).message(), "");
    EXPECT_GT(response.devices(0).last_updated_time(), 0);
    EXPECT_GE(response.devices(0).health_check_timeout_seconds(), 30);

    auto worse = std::make_shared<Inventory>(*rig_.node_.snapshot());
    worse->devices[0].health = Health::kUnhealthy;
    worse->devices[0].health_message = "broken\x01";
    server_->set_inventory(worse);
    ASSERT_TRUE((read_until<decltype(*reader), v1::NodeWatchResourcesResponse>(
        *reader, response,
        [](const auto& message) { return message.devices(0).health() == v1::UNHEALTHY; })));
    EXPECT_EQ(response.devices(0).message(), "broken?");
    ASSERT_TRUE((read_until<decltype(*older_reader), v1alpha1::NodeWatchResourcesResponse>(
        *older_reader, older_response,
        [](const auto& message) { return message.devices(0).health() == v1alpha1::UNHEALTHY; })));
    // Also without a change.
    EXPECT_TRUE(reader->Read(&response));
    EXPECT_TRUE(reader->Read(&response));
    context.TryCancel();
    while (reader->Read(&response)) {
    }
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
    server_.reset();
    while (older_reader->Read(&older_response)) {
    }
    EXPECT_FALSE(older_reader->Finish().ok());
}

TEST_F(KubeletServerTest, StreamsDoNotStarveCalls) {
    auto few = options();
    few.max_health_streams = 4;
    serve(few);
    server_->set_inventory(rig_.node_.snapshot());
    const auto channel = connect(few.sockets.service);
    const auto health = v1::DRAResourceHealth::NewStub(channel);
    struct Open {
        grpc::ClientContext context;
        std::unique_ptr<grpc::ClientReader<v1::NodeWatchResourcesResponse>> reader;
    };
    std::vector<std::unique_ptr<Open>> streams;
    v1::NodeWatchResourcesResponse response;
    for (int i = 0; i < 4; ++i) {
        auto open = std::make_unique<Open>();
        be_patient(open->context);
        open->reader = health->NodeWatchResources(&open->context, {});
        ASSERT_TRUE(open->reader->Read(&response));  // and no more: it is a slow reader
        streams.push_back(std::move(open));
    }
    EXPECT_EQ(server_->health_streams(), 4U);
    Open fifth;
    be_patient(fifth.context);
    fifth.reader = health->NodeWatchResources(&fifth.context, {});
    EXPECT_FALSE(fifth.reader->Read(&response));
    EXPECT_EQ(fifth.reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    const auto plugin = dra_v1::DRAPlugin::NewStub(channel);
    EXPECT_EQ(prepare_v1(*plugin, {rig_.claim(1, {"gpu0"})}).claims().begin()->second.error(), "");
    for (auto& open : streams) {
        open->context.TryCancel();
        while (open->reader->Read(&response)) {
        }
    }
}

}  // namespace
}  // namespace mimic::dra
