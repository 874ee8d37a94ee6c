// SPDX-License-Identifier: Apache-2.0
// kubeconfig files: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
#include "kube/config.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/private_files.h"

namespace mimic::kube {
namespace {

constexpr const char* kAccount = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr size_t kMaxFile = size_t{1} << 20;  // arbitrary

std::string environment(const char* name) {
    // Only read, and nothing in this program sets variables while threads run.
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): see above
    return value == nullptr ? std::string() : std::string(value);
}

// One kubeconfig file, and how to complain about it.
class File {
public:
    explicit File(std::string path) : path_(std::move(path)) {
        const auto slash = path_.rfind('/');
        folder_ = slash == std::string::npos ? "." : path_.substr(0, slash);
    }

    Status read();
    Result<ClientConfig> client_config(const std::string& context) const;

private:
    // The member `key` of a mapping; an undefined node if there is none.
    static YAML::Node get(const YAML::Node& node, const char* key) {
        if (!node.IsDefined() || !node.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
        return node[key];
    }
    // The scalar `key`; "" without one.
    Result<std::string> text(const YAML::Node& node, const char* key) const;
    Result<std::string> base64(const YAML::Node& node, const char* key) const;
    // A file name, made absolute as the file's folder says.
    Result<std::string> file(const YAML::Node& node, const char* key) const;
    // The entry called `name` of the list `list`: its member `inner`.
    Result<YAML::Node> named(const char* list, const std::string& name, const char* inner) const;
    Status read_cluster(const YAML::Node& cluster, ClientConfig& config) const;
    Status read_user(const YAML::Node& user, ClientConfig& config) const;

    template <typename... Args>
    tl::unexpected<Error> bad(const YAML::Node& node, fmt::format_string<Args...> format,
                              Args&&... args) const {
        const auto mark = node.IsDefined() ? node.Mark() : YAML::Mark::null_mark();
        auto place = mark.is_null() ? path_ : fmt::format("{}:{}", path_, mark.line + 1);
        return fail(std::errc::invalid_argument, "{}: {}", place,
                    fmt::format(format, std::forward<Args>(args)...));
    }

    std::string path_;
    std::string folder_;
    YAML::Node root_;
};

Status File::read() {
    auto text = read_small_file(path_);
    if (!text) return tl::unexpected(std::move(text).error());
    if (text->size() > kMaxFile)
        return fail(std::errc::invalid_argument, "{}: larger than a kubeconfig may be", path_);
    root_ = YAML::Load(*text);
    if (!root_.IsMap()) return bad(root_, "this is no kubeconfig");
    return {};
}

Result<std::string> File::text(const YAML::Node& node, const char* key) const {
    const auto value = get(node, key);
    if (!value.IsDefined() || value.IsNull()) return std::string();
    if (!value.IsScalar()) return bad(value, "{} is no text", key);
    if (value.Scalar().find('\0') != std::string::npos) return bad(value, "{} has a NUL", key);
    return value.Scalar();
}

std::optional<std::string> decode_base64(std::string_view text) {
    std::string out;
    uint32_t bits = 0;
    int count = 0;
    size_t padding = 0;
    for (const char c : text) {
        if (c == '\n' || c == '\r' || c == ' ') continue;
        if (c == '=') {
            if (++padding > 2) return std::nullopt;
            continue;
        }
        constexpr std::string_view kDigits =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const auto digit = kDigits.find(c);
        if (digit == std::string_view::npos || padding > 0) return std::nullopt;
        bits = bits << 6 | static_cast<uint32_t>(digit);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>(bits >> count & 0xff));
        }
    }
    return out;
}

Result<std::string> File::base64(const YAML::Node& node, const char* key) const {
    MIMIC_ASSIGN_OR_RETURN(const auto encoded, text(node, key));
    auto decoded = decode_base64(encoded);
    if (!decoded) return bad(get(node, key), "{} is not base64", key);
    return std::move(*decoded);
}

Result<std::string> File::file(const YAML::Node& node, const char* key) const {
    MIMIC_ASSIGN_OR_RETURN(auto name, text(node, key));
    if (name.empty() || name.front() == '/') return name;
    return folder_ + "/" + name;
}

Result<YAML::Node> File::named(const char* list, const std::string& name, const char* inner) const {
    const auto entries = get(root_, list);
    if (entries.IsDefined() && entries.IsSequence()) {
        for (const auto& entry : entries) {
            MIMIC_ASSIGN_OR_RETURN(const auto entry_name, text(entry, "name"));
            if (entry_name != name) continue;
            const auto value = get(entry, inner);
            if (!value.IsDefined() || !value.IsMap())
                return bad(entry, "{} \"{}\" has no {}", list, name, inner);
            return value;
        }
    }
    return bad(root_, "{} has no \"{}\"", list, name);
}

Status File::read_cluster(const YAML::Node& cluster, ClientConfig& config) const {
    MIMIC_ASSIGN_OR_RETURN(config.server, text(cluster, "server"));
    while (!config.server.empty() && config.server.back() == '/') config.server.pop_back();
    if (!config.server.starts_with("https://") && !config.server.starts_with("http://"))
        return bad(cluster, "server \"{}\" is no address of the form https://HOST:PORT",
                   config.server);
    MIMIC_ASSIGN_OR_RETURN(config.ca_data, base64(cluster, "certificate-authority-data"));
    MIMIC_ASSIGN_OR_RETURN(config.ca_file, file(cluster, "certificate-authority"));
    if (!config.ca_data.empty()) config.ca_file.clear();  // data goes first, as for kubectl
    MIMIC_ASSIGN_OR_RETURN(config.tls_name, text(cluster, "tls-server-name"));
    MIMIC_ASSIGN_OR_RETURN(const auto insecure, text(cluster, "insecure-skip-tls-verify"));
    if (!insecure.empty() && insecure != "true" && insecure != "false")
        return bad(cluster, "insecure-skip-tls-verify is neither true nor false");
    config.insecure = insecure == "true";
    MIMIC_ASSIGN_OR_RETURN(const auto proxy, text(cluster, "proxy-url"));
    if (!proxy.empty())
        return fail(std::errc::not_supported, "{}: proxy-url is not supported", path_);
    return {};
}

Status File::read_user(const YAML::Node& user, ClientConfig& config) const {
    for (const char* const key :
         {"exec", "auth-provider", "username", "password", "as", "as-uid", "as-groups"})
        if (const auto value = get(user, key); value.IsDefined() && !value.IsNull())
            return fail(std::errc::not_supported,
                        "{}: {} is not supported; use a token, tokenFile or client certificate",
                        path_, key);
    MIMIC_ASSIGN_OR_RETURN(config.token, text(user, "token"));
    MIMIC_ASSIGN_OR_RETURN(config.token_file, file(user, "tokenFile"));
    MIMIC_ASSIGN_OR_RETURN(config.certificate_data, base64(user, "client-certificate-data"));
    MIMIC_ASSIGN_OR_RETURN(config.certificate_file, file(user, "client-certificate"));
    MIMIC_ASSIGN_OR_RETURN(config.key_data, base64(user, "client-key-data"));
    MIMIC_ASSIGN_OR_RETURN(config.key_file, file(user, "client-key"));
    if (!config.certificate_data.empty()) config.certificate_file.clear();
    if (!config.key_data.empty()) config.key_file.clear();
    const bool certificate = !config.certificate_data.empty() || !config.certificate_file.empty();
    const bool key = !config.key_data.empty() || !config.key_file.empty();
    if (certificate != key) return bad(user, "a client certificate and its key come together");
    return {};
}

Result<ClientConfig> File::client_config(const std::string& context) const {
    MIMIC_ASSIGN_OR_RETURN(auto name, text(root_, "current-context"));
    if (!context.empty()) name = context;
    if (name.empty()) return bad(root_, "no current-context, and none was asked for");
    MIMIC_ASSIGN_OR_RETURN(const auto chosen, named("contexts", name, "context"));
    MIMIC_ASSIGN_OR_RETURN(const auto cluster_name, text(chosen, "cluster"));
    MIMIC_ASSIGN_OR_RETURN(const auto user_name, text(chosen, "user"));
    ClientConfig config;
    MIMIC_ASSIGN_OR_RETURN(const auto cluster, named("clusters", cluster_name, "cluster"));
    MIMIC_TRY(read_cluster(cluster, config));
    if (!user_name.empty()) {
        MIMIC_ASSIGN_OR_RETURN(const auto user, named("users", user_name, "user"));
        MIMIC_TRY(read_user(user, config));
    }
    MIMIC_ASSIGN_OR_RETURN(const auto name_space, text(chosen, "namespace"));
    if (!name_space.empty()) config.name_space = name_space;
    return config;
}

// "10.96.0.1", "fd00::1" and names, as they stand in an address.
std::string bracketed(const std::string& host) {
    return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

}  // namespace

Result<ClientConfig> in_cluster_config() {
    const auto host = environment("KUBERNETES_SERVICE_HOST");
    const auto port = environment("KUBERNETES_SERVICE_PORT");
    if (host.empty() || port.empty())
        return fail(std::errc::not_connected,
                    "this is no pod: KUBERNETES_SERVICE_HOST and _PORT are not set");
    ClientConfig config;
    config.server = fmt::format("https://{}:{}", bracketed(host), port);
    config.token_file = fmt::format("{}/token", kAccount);
    config.ca_file = fmt::format("{}/ca.crt", kAccount);
    for (const auto& file : {config.token_file, config.ca_file})
        if (::access(file.c_str(), R_OK) != 0) return fail_errno("{}", file);
    if (auto text = read_small_file(fmt::format("{}/namespace", kAccount))) {
        while (!text->empty() && text->back() == '\n') text->pop_back();
        if (!text->empty()) config.name_space = *text;
    }
    return config;
}

Result<ClientConfig> load_kubeconfig(const std::string& path, const std::string& context) {
    try {
        File file(path);
        MIMIC_TRY(file.read());
        return file.client_config(context);
    } catch (const YAML::Exception& error) {
        return fail(std::errc::invalid_argument, "{}:{}: {}", path, error.mark.line + 1, error.msg);
    }
}

Result<ClientConfig> default_config(const std::string& path, const std::string& context) {
    if (!path.empty()) return load_kubeconfig(path, context);
    auto files = environment("KUBECONFIG");
    // The first file that is named; merging several is not supported.
    files.erase(0, files.find_first_not_of(':'));
    files.erase(std::min(files.find(':'), files.size()));
    if (!files.empty()) return load_kubeconfig(files, context);
    auto in_cluster = in_cluster_config();
    if (in_cluster || in_cluster.error().code() != std::errc::not_connected) return in_cluster;
    const auto home = environment("HOME");
    const auto file = home + "/.kube/config";
    if (home.empty() || ::access(file.c_str(), F_OK) != 0)
        return fail(std::errc::not_connected,
                    "no cluster is known: no --kubeconfig, no $KUBECONFIG, not in a pod, and no "
                    "~/.kube/config");
    return load_kubeconfig(file, context);
}

}  // namespace mimic::kube
