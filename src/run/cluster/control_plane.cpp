// SPDX-License-Identifier: Apache-2.0
// docs/kubernetes/cluster.md tells users what runs. Flags: those of a cluster that ran on a machine
// of two cores; nothing of it listens elsewhere than on the loopback interface or in our folder.
#include "cluster/control_plane.h"

#include <nlohmann/json.hpp>

#include "base/private_files.h"
#include "cluster/certificates.h"
#include "cluster/node_disk.h"
#include "guest_agent/base64.h"

namespace mimic::cluster {
namespace {

using Json = nlohmann::ordered_json;

class ControlPlane {
public:
    explicit ControlPlane(const ControlPlaneSpec& spec) : spec_(spec) {}
    Result<ClusterPlan> make();

private:
    Status write(const std::string& name, const std::string& text) {
        return write_file_atomically(file(name), text);
    }
    std::string file(const std::string& name) const { return spec_.dir + "/" + name; }
    Status write_identities();
    Status write_kubeconfigs();
    Status write_nodes();
    Status write_egress();
    Result<std::string> add_token(const std::string& user, const std::string& group);
    void add(const std::string& name, const Command& program, std::vector<std::string> flags);
    void add_etcd();
    void add_api_server();
    void add_others();
    void add_gates(std::vector<std::string>& flags) const;
    std::string own_server() const { return fmt::format("https://127.0.0.1:{}", spec_.api_port); }

    const ControlPlaneSpec& spec_;
    ClusterPlan plan_;
    std::string authority_;  // PEM
    std::string tokens_;     // lines of --token-auth-file
};

Status ControlPlane::write_identities() {
    MIMIC_ASSIGN_OR_RETURN(const Identity authority,
                           make_authority(fmt::format("cluster {} of mimic", spec_.name)));
    authority_ = authority.certificate;
    MIMIC_TRY(write("ca.crt", authority.certificate));
    std::vector<std::string> hosts{"IP:127.0.0.1",
                                   "DNS:localhost",
                                   "DNS:kubernetes",
                                   "DNS:kubernetes.default",
                                   "DNS:kubernetes.default.svc",
                                   fmt::format("IP:{}", kServiceAddress)};
    for (const NodeSpec& node : spec_.nodes) hosts.push_back("IP:" + host_address(node.subnet));
    MIMIC_ASSIGN_OR_RETURN(
        const Identity server,
        issue(authority, {.name = "kube-apiserver", .organization = "", .hosts = hosts}));
    MIMIC_TRY(write("api-server.crt", server.certificate));
    MIMIC_TRY(write("api-server.key", server.key));
    MIMIC_ASSIGN_OR_RETURN(const Identity client,
                           issue(authority, {.name = "kube-apiserver-kubelet-client",
                                             .organization = "system:masters"}));
    MIMIC_TRY(write("kubelet-client.crt", client.certificate));
    MIMIC_TRY(write("kubelet-client.key", client.key));
    MIMIC_ASSIGN_OR_RETURN(const std::string accounts, make_key());
    return write("service-accounts.key", accounts);
}

Result<std::string> ControlPlane::add_token(const std::string& user, const std::string& group) {
    MIMIC_ASSIGN_OR_RETURN(std::string token, make_token());
    tokens_ += fmt::format("{},{},{}{}\n", token, user, user,
                           group.empty() ? "" : fmt::format(",\"{}\"", group));
    return token;
}

Status ControlPlane::write_kubeconfigs() {
    struct User {
        const char* file;
        const char* user;
        const char* group;
    };
    for (const User& one :
         {User{"kubeconfig", "admin", "system:masters"},
          User{"controller-manager.conf", "system:kube-controller-manager", "system:masters"},
          User{"scheduler.conf", "system:kube-scheduler", ""}}) {
        MIMIC_ASSIGN_OR_RETURN(const std::string token, add_token(one.user, one.group));
        MIMIC_TRY(write(one.file, kubeconfig_text(spec_.name, own_server(), authority_, token)));
    }
    return {};
}

Status ControlPlane::write_nodes() {
    for (const NodeSpec& node : spec_.nodes) {
        MIMIC_ASSIGN_OR_RETURN(const std::string token,
                               add_token("system:node:" + node.name, "system:nodes"));
        const std::string server = fmt::format("https://{}:{}", host_address(node.subnet),
                                               spec_.api_port);
        MIMIC_TRY(
            write_node_files({.name = node.name,
                              .subnet = node.subnet,
                              .api_port = spec_.api_port,
                              .kubeconfig = kubeconfig_text(spec_.name, server, authority_, token),
                              .authority = authority_},
                             node_files_path(spec_.dir, node.name)));
        plan_.machines.push_back(node.name);
        plan_.kubelets[fmt::format("{}:{}", node_address(node.subnet), kKubeletPort)] =
            node.kubelet_port;
    }
    return write("tokens.csv", tokens_);
}

Status ControlPlane::write_egress() {
    plan_.egress_socket = file("egress.sock");
    const Json transport{{"uds", {{"udsName", plan_.egress_socket}}}};
    const Json connection{{"proxyProtocol", "HTTPConnect"}, {"transport", transport}};
    const Json selection{{"name", "cluster"}, {"connection", connection}};
    const Json json{{"apiVersion", "apiserver.k8s.io/v1beta1"},
                    {"kind", "EgressSelectorConfiguration"},
                    {"egressSelections", Json::array({selection})}};
    return write("egress.json", json.dump(2) + "\n");
}

void ControlPlane::add(const std::string& name, const Command& program,
                       std::vector<std::string> flags) {
    PlannedProcess process{.name = name, .argv = program};
    process.argv.insert(process.argv.end(), flags.begin(), flags.end());
    plan_.processes.push_back(std::move(process));
}

/// On sockets in our folder: etcd asks nobody who he is. A "host" that is none is a file in the
/// working folder, which is ours; flags that must have a port accept that form alone.
void ControlPlane::add_etcd() {
    add("etcd", spec_.programs.etcd,
        {"--data-dir=" + spec_.state_dir + "/etcd", "--unsafe-no-fsync", "--log-level=warn",
         "--listen-client-urls=unix://" + file("etcd.sock"),
         "--advertise-client-urls=unix://client:1", "--listen-peer-urls=unix://peer:1",
         "--initial-advertise-peer-urls=unix://peer:1", "--initial-cluster=default=unix://peer:1"});
}

void ControlPlane::add_gates(std::vector<std::string>& flags) const {
    if (!spec_.feature_gates.empty()) flags.push_back("--feature-gates=" + spec_.feature_gates);
}

void ControlPlane::add_api_server() {
    std::vector<std::string> flags{
        "--etcd-servers=unix://" + file("etcd.sock"), "--bind-address=127.0.0.1",
        fmt::format("--secure-port={}", spec_.api_port),
        // An address must be given that is no loopback; pods go to the service's.
        "--advertise-address=" + host_address(spec_.nodes.front().subnet),
        fmt::format("--service-cluster-ip-range={}", kServiceRange),
        "--tls-cert-file=" + file("api-server.crt"),
        "--tls-private-key-file=" + file("api-server.key"), "--client-ca-file=" + file("ca.crt"),
        "--token-auth-file=" + file("tokens.csv"), "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=" + file("service-accounts.key"),
        "--service-account-signing-key-file=" + file("service-accounts.key"),
        "--kubelet-client-certificate=" + file("kubelet-client.crt"),
        "--kubelet-client-key=" + file("kubelet-client.key"),
        "--kubelet-preferred-address-types=InternalIP",
        "--egress-selector-config-file=" + file("egress.json")};
    if (!spec_.runtime_config.empty()) flags.push_back("--runtime-config=" + spec_.runtime_config);
    add_gates(flags);
    add("api-server", spec_.programs.api_server, std::move(flags));
}

void ControlPlane::add_others() {
    std::vector<std::string> flags{"--kubeconfig=" + file("scheduler.conf"), "--leader-elect=false",
                                   "--secure-port=0"};
    add_gates(flags);
    add("scheduler", spec_.programs.scheduler, flags);
    flags = {"--kubeconfig=" + file("controller-manager.conf"), "--leader-elect=false",
             "--secure-port=0",
             "--service-account-private-key-file=" + file("service-accounts.key"),
             "--root-ca-file=" + file("ca.crt")};
    add_gates(flags);
    add("controller-manager", spec_.programs.controller_manager, flags);
}

Result<ClusterPlan> ControlPlane::make() {
    plan_.name = spec_.name;
    plan_.state_dir = spec_.state_dir;
    MIMIC_TRY(write_identities());
    MIMIC_TRY(write_kubeconfigs());
    MIMIC_TRY(write_nodes());
    MIMIC_TRY(write_egress());
    add_etcd();
    add_api_server();
    add_others();
    MIMIC_TRY(write("plan.json", to_json(plan_)));
    return plan_;
}

}  // namespace

std::string kubeconfig_path(const std::string& dir) {
    return dir + "/kubeconfig";
}

std::string node_files_path(const std::string& dir, const std::string& node) {
    return fmt::format("{}/{}.tar", dir, node);
}

Result<ClusterPlan> make_control_plane(const ControlPlaneSpec& spec) {
    return ControlPlane(spec).make();
}

std::string kubeconfig_text(const std::string& cluster, const std::string& server,
                            const std::string& authority, const std::string& token) {
    // JSON is YAML, and quotes whatever is in a value.
    const Json data{{"server", server},
                    {"certificate-authority-data", guest_agent::base64_encode(authority)}};
    const Json json{
        {"apiVersion", "v1"},
        {"kind", "Config"},
        {"clusters", Json::array({{{"name", cluster}, {"cluster", data}}})},
        {"users", Json::array({{{"name", "user"}, {"user", {{"token", token}}}}})},
        {"contexts",
         Json::array({{{"name", cluster}, {"context", {{"cluster", cluster}, {"user", "user"}}}}})},
        {"current-context", cluster}};
    return json.dump(2) + "\n";
}

}  // namespace mimic::cluster
