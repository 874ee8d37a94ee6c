// SPDX-License-Identifier: Apache-2.0
#include "kube/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/private_files.h"

namespace mimic::kube {
namespace {

using ::testing::HasSubstr;

class KubeConfig : public ::testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/kube-config-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    Result<ClientConfig> load(std::string_view text, const std::string& context = {}) {
        EXPECT_TRUE(write_file_atomically(folder_ + "/config", text));
        return load_kubeconfig(folder_ + "/config", context);
    }
    // With one cluster and one user, whose members are given.
    static std::string file(std::string_view cluster, std::string_view user) {
        return fmt::format(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "contexts: [{{name: c, context: {{cluster: k, user: u, namespace: ns}}}}]\n"
            "clusters: [{{name: k, cluster: {{{}}}}}]\nusers: [{{name: u, user: {{{}}}}}]\n",
            cluster, user);
    }

    std::string folder_;
};

TEST_F(KubeConfig, ReadsEveryWayToShowWhoWeAre) {
    const auto tokens = load(
        file("server: 'https://k:6443/', certificate-authority: ca.crt, tls-server-name: api.test",
             "token: abc, tokenFile: /t"));
    ASSERT_TRUE(tokens) << tokens.error().message();
    EXPECT_EQ(tokens->server, "https://k:6443");
    EXPECT_EQ(tokens->ca_file, folder_ + "/ca.crt");
    EXPECT_EQ(tokens->tls_name, "api.test");
    EXPECT_EQ(tokens->token, "abc");
    EXPECT_EQ(tokens->token_file, "/t");
    EXPECT_EQ(tokens->name_space, "ns");
    EXPECT_FALSE(tokens->insecure);

    const auto data = load(
        file("server: 'https://k', certificate-authority-data: Q0E=, certificate-authority: x, "
             "insecure-skip-tls-verify: true",
             "client-certificate-data: Q0VSVA==, client-key: key.pem"));
    ASSERT_TRUE(data) << data.error().message();
    EXPECT_EQ(data->ca_data, "CA");
    EXPECT_EQ(data->ca_file, "");
    EXPECT_EQ(data->certificate_data, "CERT");
    EXPECT_EQ(data->key_file, folder_ + "/key.pem");
    EXPECT_TRUE(data->insecure);
}

TEST_F(KubeConfig, AnotherContextThanTheCurrentOne) {
    const std::string text =
        "current-context: gone\n"
        "contexts: [{name: a, context: {cluster: k, user: ''}}, {name: b}]\n"
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:8001'}}]\n";
    EXPECT_TRUE(load(text, "a"));
    const auto current = load(text);
    ASSERT_FALSE(current);
    EXPECT_THAT(current.error().message(), HasSubstr("contexts has no \"gone\""));
    const auto b = load(text, "b");
    ASSERT_FALSE(b);
    EXPECT_THAT(b.error().message(), HasSubstr("contexts \"b\" has no context"));
}

TEST_F(KubeConfig, ComplainsWithFileAndLine) {
    const auto message = [this](const std::string& text) {
        const auto config = load(text);
        return config ? "accepted: " + text : config.error().message();
    };
    EXPECT_THAT(message("a: [1"), HasSubstr(folder_ + "/config:"));
    EXPECT_THAT(message(""), HasSubstr("this is no kubeconfig"));
    EXPECT_THAT(message("- 1\n"), HasSubstr("config:1: this is no kubeconfig"));
    EXPECT_THAT(message("current-context: [x]\n"), HasSubstr("current-context is no text"));
    EXPECT_THAT(message("clusters: 3\n"), HasSubstr("no current-context"));
    EXPECT_THAT(message(file("server: 'ftp://x'", "token: a")), HasSubstr("config:5"));
    EXPECT_THAT(message(file("server: 'https://x', certificate-authority-data: '%%'", "")),
                HasSubstr("config:5: certificate-authority-data is not base64"));
    EXPECT_THAT(message(file("server: 'https://x', insecure-skip-tls-verify: maybe", "")),
                HasSubstr("neither true nor false"));
    EXPECT_THAT(message(file("server: 'https://x'", "client-key: k")), HasSubstr("come together"));
    EXPECT_THAT(message(std::string(100000, '[')), HasSubstr("config"));
    EXPECT_THAT(message(std::string(2 << 20, ' ')), HasSubstr("larger than a kubeconfig"));
    for (const std::string plugin : {"exec", "auth-provider", "username", "as"}) {
        const auto config = load(file("server: 'https://x'", plugin + ": {a: b}"));
        ASSERT_FALSE(config);
        EXPECT_EQ(config.error().code(), std::errc::not_supported);
        EXPECT_THAT(config.error().message(), HasSubstr(plugin + " is not supported"));
    }
}

TEST_F(KubeConfig, TheDefaultIsWhatKubectlWouldTake) {
    ::unsetenv("KUBERNETES_SERVICE_HOST");
    ::setenv("HOME", folder_.c_str(), 1);
    ::setenv("KUBECONFIG", "", 1);
    auto none = default_config("");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), std::errc::not_connected);
    std::filesystem::create_directories(folder_ + "/.kube");
    ASSERT_TRUE(
        write_file_atomically(folder_ + "/.kube/config", file("server: 'https://home'", "")));
    ASSERT_TRUE(write_file_atomically(folder_ + "/other", file("server: 'https://other'", "")));
    EXPECT_EQ(default_config("")->server, "https://home");
    ::setenv("KUBECONFIG", (":" + folder_ + "/other:/nowhere").c_str(), 1);
    EXPECT_EQ(default_config("")->server, "https://other");
    EXPECT_FALSE(default_config(folder_ + "/missing"));
    ::unsetenv("KUBECONFIG");
    ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    // Of a pod without an account: an error, and not a look elsewhere.
    const auto pod = default_config("");
    ASSERT_FALSE(pod);
    EXPECT_THAT(pod.error().message(), HasSubstr("serviceaccount/token"));
    ::unsetenv("KUBERNETES_SERVICE_HOST");
}

}  // namespace
}  // namespace mimic::kube
