// SPDX-License-Identifier: Apache-2.0
// Parts of a cluster that need no Kubernetes: certificates, plans, claimed folders, programs, the
// proxy to kubelets. tests/cluster/vm has the whole.
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <nlohmann/json.hpp>

#include "base/private_files.h"
#include "cluster/certificates.h"
#include "cluster/cluster_plan.h"
#include "cluster/control_plane.h"
#include "cluster/egress_proxy.h"
#include "cluster/node_disk.h"
#include "cluster/programs.h"

namespace mimic::cluster {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

struct FreeX509 {
    void operator()(X509* one) const { X509_free(one); }
    void operator()(EVP_PKEY* one) const { EVP_PKEY_free(one); }
    void operator()(BIO* one) const { BIO_free(one); }
    void operator()(X509_STORE* one) const { X509_STORE_free(one); }
    void operator()(X509_STORE_CTX* one) const { X509_STORE_CTX_free(one); }
};
using X509Ptr = std::unique_ptr<X509, FreeX509>;

X509Ptr read_certificate(const std::string& pem) {
    const std::unique_ptr<BIO, FreeX509> bio(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

int verify(const std::string& authority, const std::string& certificate, int purpose) {
    const X509Ptr ca = read_certificate(authority);
    const X509Ptr leaf = read_certificate(certificate);
    const std::unique_ptr<X509_STORE, FreeX509> store(X509_STORE_new());
    X509_STORE_add_cert(store.get(), ca.get());
    const std::unique_ptr<X509_STORE_CTX, FreeX509> context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
    X509_STORE_CTX_set_purpose(context.get(), purpose);
    X509_verify_cert(context.get());
    return X509_STORE_CTX_get_error(context.get());
}

TEST(Certificates, AServerIsVouchedForByItsAuthorityAlone) {
    const auto authority = make_authority("cluster one");
    const auto other = make_authority("cluster one");
    ASSERT_TRUE(authority && other);
    const auto server = issue(*authority, {.name = "kube-apiserver",
                                           .organization = "",
                                           .hosts = {"IP:10.0.1.2", "DNS:kubernetes.default.svc"}});
    ASSERT_TRUE(server) << server.error().message();
    EXPECT_EQ(verify(authority->certificate, server->certificate, X509_PURPOSE_SSL_SERVER),
              X509_V_OK);
    EXPECT_NE(verify(other->certificate, server->certificate, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    EXPECT_NE(verify(authority->certificate, server->certificate, X509_PURPOSE_SSL_CLIENT),
              X509_V_OK);
    const X509Ptr certificate = read_certificate(server->certificate);
    EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.0.1.2", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.0.2.2", 0), 0);
    EXPECT_EQ(X509_check_host(certificate.get(), "kubernetes.default.svc", 0, 0, nullptr), 1);
}

TEST(Certificates, AClientHasUserAndGroup) {
    const auto authority = make_authority("a");
    ASSERT_TRUE(authority);
    const auto client = issue(*authority, {.name = "someone", .organization = "system:masters"});
    ASSERT_TRUE(client);
    EXPECT_EQ(verify(authority->certificate, client->certificate, X509_PURPOSE_SSL_CLIENT),
              X509_V_OK);
    EXPECT_NE(verify(authority->certificate, client->certificate, X509_PURPOSE_SSL_SERVER),
              X509_V_OK);
    const X509Ptr certificate = read_certificate(client->certificate);
    std::array<char, 256> name{};
    X509_NAME_oneline(X509_get_subject_name(certificate.get()), name.data(), name.size());
    EXPECT_STREQ(name.data(), "/O=system:masters/CN=someone");
}

TEST(Certificates, KeysAreOfTheFormThatKubernetesReads) {
    const auto key = make_key();
    ASSERT_TRUE(key);
    EXPECT_THAT(*key, HasSubstr("-----BEGIN EC PRIVATE KEY-----"));
    const auto one = make_token();
    const auto two = make_token();
    ASSERT_TRUE(one && two);
    EXPECT_EQ(one->size(), 64u);
    EXPECT_EQ(one->find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_NE(*one, *two);
}

TEST(ClusterPlan, SurvivesItsFile) {
    const ClusterPlan plan{.name = "c",
                           .state_dir = "/s",
                           .machines = {"n1", "n2"},
                           .egress_socket = "/e",
                           .kubelets = {{"10.0.1.15:10250", 4000}},
                           .processes = {{"etcd", {"/bin/etcd", "--a=\"b\""}}}};
    const auto read = parse_cluster_plan(to_json(plan));
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->machines, plan.machines);
    EXPECT_EQ(read->kubelets, plan.kubelets);
    EXPECT_EQ(read->egress_socket, "/e");
    ASSERT_EQ(read->processes.size(), 1u);
    EXPECT_EQ(read->processes[0].argv, plan.processes[0].argv);
    for (const char* bad : {"", "[]", "{}", "{\"name\":1}"}) {
        EXPECT_FALSE(parse_cluster_plan(bad)) << bad;
        EXPECT_FALSE(parse_cluster_state(bad)) << bad;
    }
}

/// Folders of its own in place of the user's.
class ClusterFolders : public testing::Test {
protected:
    void SetUp() override {
        std::string path = "/tmp/mimic-cluster-XXXXXX";
        ASSERT_NE(::mkdtemp(path.data()), nullptr);
        folder_ = path;
        ::setenv("XDG_RUNTIME_DIR", path.c_str(), 1);
        ::setenv("XDG_STATE_HOME", (path + "/state").c_str(), 1);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string folder_;
};

TEST_F(ClusterFolders, OneClusterHasANameUntilItIsGone) {
    {
        auto claimed = claim_cluster("one");
        ASSERT_TRUE(claimed) << claimed.error().message();
        EXPECT_TRUE(is_cluster_alive("one"));
        EXPECT_THAT(cluster_names(), ElementsAre("one"));
        EXPECT_EQ(claim_cluster("one").error().code(), std::errc::device_or_resource_busy);
        EXPECT_EQ(clean_cluster("one").error().code(), std::errc::device_or_resource_busy);
        EXPECT_TRUE(claim_cluster("two"));
    }
    EXPECT_FALSE(is_cluster_alive("one"));
    EXPECT_THAT(cluster_names(), ElementsAre("one", "two"));
    EXPECT_TRUE(clean_cluster("one"));
    EXPECT_TRUE(clean_cluster("two"));
    EXPECT_TRUE(cluster_names().empty());
    EXPECT_TRUE(clean_cluster("one")) << "nothing is there";
    EXPECT_EQ(claim_cluster("../x").error().code(), std::errc::invalid_argument);
}

TEST_F(ClusterFolders, WhatAKilledSupervisorLeftIsEnded) {
    std::string dir;
    {
        const auto claimed = claim_cluster("one");
        ASSERT_TRUE(claimed);
        dir = claimed->path;
    }
    const auto state_dir = cluster_state_path("one");
    ASSERT_TRUE(state_dir);
    ASSERT_TRUE(make_dirs(*state_dir + "/etcd/member"));
    const pid_t child = ::fork();
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    // Reaped while it is waited for: a zombie counts as running to nobody.
    ClusterState state;
    state.processes["etcd"] = machine::ProcessId::of(child);
    ASSERT_TRUE(write_file_atomically(dir + "/state.json", to_json(state)));
    EXPECT_TRUE(clean_cluster("one"));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EXPECT_FALSE(std::filesystem::exists(dir));
    EXPECT_FALSE(std::filesystem::exists(*state_dir + "/etcd"));
}

TEST_F(ClusterFolders, AControlPlaneListensToThisHostAlone) {
    const auto claimed = claim_cluster("one");
    ASSERT_TRUE(claimed);
    ControlPlaneSpec spec;
    spec.name = "one";
    spec.dir = claimed->path;
    spec.state_dir = folder_ + "/s";
    spec.programs.etcd = {"/k/kube", "etcd"};
    spec.programs.api_server = {"/k/kube-apiserver"};
    spec.programs.scheduler = {"/k/kube-scheduler"};
    spec.programs.controller_manager = {"/k/kube-controller-manager"};
    spec.api_port = 4001;
    spec.feature_gates = "A=true";
    spec.nodes = {{.name = "n1", .subnet = 1, .kubelet_port = 4002},
                  {.name = "n2", .subnet = 2, .kubelet_port = 4003}};
    const auto plan = make_control_plane(spec);
    ASSERT_TRUE(plan) << plan.error().message();
    EXPECT_THAT(plan->machines, ElementsAre("n1", "n2"));
    EXPECT_EQ(plan->kubelets.at("10.0.2.15:10250"), 4003);
    ASSERT_EQ(plan->processes.size(), 4u);
    EXPECT_EQ(plan->processes[0].argv[1], "etcd");
    for (const std::string& word : plan->processes[0].argv)
        EXPECT_EQ(word.find("http"), std::string::npos) << word;
    EXPECT_THAT(plan->processes[1].argv, Contains("--bind-address=127.0.0.1"));
    EXPECT_THAT(plan->processes[1].argv, Contains("--feature-gates=A=true"));
    for (const auto& entry : std::filesystem::directory_iterator(claimed->path)) {
        struct stat info {};
        ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 077u, 0u) << entry.path();
    }
    const auto config = nlohmann::json::parse(*read_small_file(kubeconfig_path(claimed->path)));
    EXPECT_EQ(config["clusters"][0]["cluster"]["server"], "https://127.0.0.1:4001");
    const auto server = read_small_file(claimed->path + "/api-server.crt");
    ASSERT_TRUE(server);
    for (const char* address : {"127.0.0.1", "10.0.1.2", "10.0.2.2", "10.96.0.1"})
        EXPECT_EQ(X509_check_ip_asc(read_certificate(*server).get(), address, 0), 1) << address;
}

TEST_F(ClusterFolders, ProgramsAreThereByNameOrInOneForAll) {
    const auto none = find_program(folder_, "kubelet");
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message(), HasSubstr("kubelet"));
    ASSERT_TRUE(write_file_atomically(folder_ + "/kube", "#!/bin/sh\n"));
    EXPECT_FALSE(find_program(folder_, "kubelet")) << "not executable";
    ::chmod((folder_ + "/kube").c_str(), 0700);
    EXPECT_THAT(*find_program(folder_, "kubelet"), ElementsAre(folder_ + "/kube", "kubelet"));
    ASSERT_TRUE(write_file_atomically(folder_ + "/kubelet", "#!/bin/sh\n"));
    ::chmod((folder_ + "/kubelet").c_str(), 0700);
    EXPECT_THAT(*find_program(folder_, "kubelet"), ElementsAre(folder_ + "/kubelet"));
}

TEST_F(ClusterFolders, ANodesFilesAreAnArchiveOfWholeSectors) {
    const std::string path = folder_ + "/n.tar";
    ASSERT_TRUE(write_node_files(
        {.name = "n1", .subnet = 3, .api_port = 4001, .kubeconfig = "k", .authority = "a"}, path));
    const auto bytes = read_small_file(path);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->size() % 512, 0u);
    EXPECT_THAT(*bytes, HasSubstr("NODE_NAME=n1\nNODE_ADDRESS=10.0.3.15\nAPI_HOST=10.0.3.2\n"
                                  "API_PORT=4001\n"));
}

TEST(EgressProxy, ReadsConnectRequestsOnly) {
    EXPECT_EQ(connect_target("CONNECT 10.0.1.15:10250 HTTP/1.1\r\nHost: x\r\n\r\n"),
              "10.0.1.15:10250");
    for (const char* bad :
         {"", "CONNECT", "CONNECT x", "GET / HTTP/1.1\r\n\r\n", "CONNECT x FTP\r\n"})
        EXPECT_EQ(connect_target(bad), "") << bad;
}

UniqueFd connect_unix(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
}

std::string received(int fd, size_t count) {
    std::string text(count, '\0');
    const ssize_t got = ::recv(fd, text.data(), count, MSG_WAITALL);
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return text;
}

TEST_F(ClusterFolders, TheProxyCarriesBytesToTheForwardedPort) {
    ::signal(SIGPIPE, SIG_IGN);
    const UniqueFd kubelet(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(::bind(kubelet.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
    ASSERT_EQ(::listen(kubelet.get(), 4), 0);
    ASSERT_EQ(::getsockname(kubelet.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    const std::string path = folder_ + "/e.sock";
    auto proxy = EgressProxy::create(path, {{"10.0.1.15:10250", ntohs(address.sin_port)}});
    ASSERT_TRUE(proxy) << proxy.error().message();

    const UniqueFd stranger = connect_unix(path);
    ASSERT_TRUE(write_all(stranger.get(), "CONNECT 10.0.1.15:22 HTTP/1.1\r\n\r\n"));
    EXPECT_THAT(received(stranger.get(), 64), testing::StartsWith("HTTP/1.1 502 "));

    const UniqueFd client = connect_unix(path);
    ASSERT_TRUE(write_all(client.get(), "CONNECT 10.0.1.15:10250 HTTP/1.1\r\n\r\n"));
    const UniqueFd server(::accept4(kubelet.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(server);
    constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\n\r\n";
    EXPECT_EQ(received(client.get(), kAnswer.size()), kAnswer);
    const std::string much(1u << 20, 'x');
    std::thread writer([&] { EXPECT_TRUE(write_all(client.get(), much)); });
    EXPECT_EQ(received(server.get(), much.size()), much);
    writer.join();
    ASSERT_TRUE(write_all(server.get(), "pong"));
    EXPECT_EQ(received(client.get(), 4), "pong");
    ::shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(received(server.get(), 1), "") << "one end's end is the other's";
    // A connection that is still open does not hold the proxy's end up.
    proxy->reset();
}

}  // namespace
}  // namespace mimic::cluster
