// SPDX-License-Identifier: Apache-2.0
// bench_dra_prepare [MIMIC_DRA [FOLDER]]: how long a kubelet waits for mimic-dra, which runs as a
// process of its own against an API server in this process: NodePrepareResources of one device, and
// of 128 claims in one call, with the checkpoint synced to the disk of FOLDER (default /var/tmp);
// and its memory with 128 devices prepared.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/unique_fd.h"
#include "bench/measure.h"
#include "devices/all_dra.h"
#include "dra/plugin/claim.h"
#include "dra/plugin/proto/dra_v1.grpc.pb.h"
#include "dra/plugin/sockets.h"
#include "kube/testing/fake_api.h"

namespace {

namespace fs = std::filesystem;
namespace api = k8s::io::kubelet::pkg::apis::dra::v1;
using mimic::bench::now_ns;
using mimic::bench::quantile;
using nlohmann::json;

constexpr int kDevices = 128;
constexpr int kSingles = 500;
constexpr int kBatches = 20;

struct Claim {
    std::string uid, name;
};

Claim claim_of(int number) {
    return {fmt::format("00000000-0000-0000-0000-{:012}", number), fmt::format("claim-{}", number)};
}

// As /var/run/cdi, in memory.
std::string cdi_dir() {
    return fmt::format("/dev/shm/bench-dra-cdi-{}", ::getpid());
}

void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text << '\n';
}

// A class folder as the driver's, without links to PCI.
void make_devices(const std::string& root, const mimic::slices::DraFacts& facts) {
    for (int i = 0; i < kDevices; ++i) {
        const auto dir = fmt::format("{}/sys/class/{}/{}{}", root, facts.sysfs_class,
                                     facts.node_prefix, i);
        fs::create_directories(dir);
        for (const auto& attribute : facts.attributes)
            write(fmt::format("{}/{}", dir, attribute.sysfs), "1");
        write(fmt::format("{}/{}", dir, facts.status_file), "0x00000000");
    }
}

void make_claims(mimic::kube::testing::FakeApi& server, const mimic::slices::DraFacts& facts) {
    server.put("nodes", {{"metadata", {{"name", "n1"}, {"uid", "node-uid"}}}});
    for (int i = 0; i < kDevices; ++i) {
        const auto claim = claim_of(i);
        server.put(
            "resourceclaims",
            {{"metadata", {{"name", claim.name}, {"namespace", "default"}, {"uid", claim.uid}}},
             {"status",
              {{"allocation",
                {{"devices",
                  {{"results",
                    {{{"request", "accel"},
                      {"driver", facts.driver},
                      {"pool", "n1"},
                      {"device", fmt::format("{}{}", facts.node_prefix, i)}}}}}}}}}}});
    }
}

void write_kubeconfig(const std::string& path, const mimic::kube::ClientConfig& config) {
    json cluster = {{"server", config.server}};
    if (!config.ca_file.empty()) cluster["certificate-authority"] = config.ca_file;
    if (!config.ca_data.empty()) {
        write(path + ".ca", config.ca_data);
        cluster["certificate-authority"] = path + ".ca";
    }
    const json file = {
        {"apiVersion", "v1"},
        {"kind", "Config"},
        {"clusters", {{{"name", "c"}, {"cluster", cluster}}}},
        {"users", {{{"name", "u"}, {"user", {{"token", config.token}}}}}},
        {"contexts", {{{"name", "x"}, {"context", {{"cluster", "c"}, {"user", "u"}}}}}},
        {"current-context", "x"}};
    write(path, file.dump());
}

pid_t start(const std::string& program, const std::string& folder) {
    const std::vector<std::string> words = {program,
                                            "--node-name=n1",
                                            "--root=" + folder + "/root",
                                            "--kubelet-dir=" + folder + "/kubelet",
                                            "--cdi-dir=" + cdi_dir(),
                                            "--kubeconfig=" + folder + "/kubeconfig",
                                            "--log-level=warn"};
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        const mimic::UniqueFd log(
            ::open((folder + "/log").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        ::dup2(log.get(), STDERR_FILENO);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    return child;
}

long rss_kib(pid_t child, const std::string& what) {
    std::ifstream in(fmt::format("/proc/{}/status", child));
    for (std::string line; std::getline(in, line);)
        if (line.rfind(what + ":", 0) == 0) return std::atol(line.c_str() + what.size() + 1);
    return 0;
}

class Kubelet {
public:
    explicit Kubelet(const std::string& socket)
        : stub_(api::DRAPlugin::NewStub(grpc::CreateChannel(mimic::dra::unix_uri(socket),
                                                            grpc::InsecureChannelCredentials()))) {}

    // Milliseconds; ends the program if a claim is not prepared.
    double prepare(int from, int count) {
        api::NodePrepareResourcesRequest request;
        fill(request, from, count);
        api::NodePrepareResourcesResponse response;
        grpc::ClientContext context;
        context.set_wait_for_ready(true);
        const uint64_t begin = now_ns();
        const auto status = stub_->NodePrepareResources(&context, request, &response);
        const uint64_t end = now_ns();
        bool good = status.ok() && response.claims().size() == static_cast<size_t>(count);
        for (const auto& [uid, claim] : response.claims()) good = good && claim.error().empty();
        if (!good) {
            std::fputs("bench_dra_prepare: a claim was not prepared\n", stderr);
            std::exit(1);
        }
        return static_cast<double>(end - begin) / 1e6;
    }

    double unprepare(int from, int count) {
        api::NodeUnprepareResourcesRequest request;
        fill(request, from, count);
        api::NodeUnprepareResourcesResponse response;
        grpc::ClientContext context;
        const uint64_t begin = now_ns();
        stub_->NodeUnprepareResources(&context, request, &response);
        return static_cast<double>(now_ns() - begin) / 1e6;
    }

private:
    template <typename Request>
    static void fill(Request& request, int from, int count) {
        for (int i = from; i < from + count; ++i) {
            const auto claim = claim_of(i);
            auto& out = *request.add_claims();
            out.set_namespace_("default");
            out.set_uid(claim.uid);
            out.set_name(claim.name);
        }
    }

    std::unique_ptr<api::DRAPlugin::Stub> stub_;
};

// What the disk itself takes for a file that is replaced and synced, as the checkpoint is.
double raw_sync_ms(const std::string& folder) {
    std::vector<double> samples;
    for (int i = 0; i < 100; ++i) {
        const uint64_t begin = now_ns();
        const mimic::UniqueFd fd(
            ::open((folder + "/raw.new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        const std::string text(512, 'x');
        if (::write(fd.get(), text.data(), text.size()) < 0) return 0;
        ::fsync(fd.get());
        ::rename((folder + "/raw.new").c_str(), (folder + "/raw").c_str());
        const mimic::UniqueFd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        ::fsync(dir.get());
        samples.push_back(static_cast<double>(now_ns() - begin) / 1e6);
    }
    return quantile(samples, 0.5);
}

void measure(const std::string& folder, const mimic::slices::DraFacts& facts, pid_t child) {
    Kubelet kubelet(fmt::format("{}/kubelet/plugins/{}/dra.sock", folder, facts.driver));
    std::vector<double> prepares, unprepares, batches;
    for (int i = 0; i < kSingles; ++i) {
        const double took = kubelet.prepare(i % kDevices, 1);
        if (i >= 10) prepares.push_back(took);  // connections are made in the first
        unprepares.push_back(kubelet.unprepare(i % kDevices, 1));
    }
    for (int i = 0; i < kBatches; ++i) {
        batches.push_back(kubelet.prepare(0, kDevices));
        if (i + 1 < kBatches) kubelet.unprepare(0, kDevices);
    }
    fmt::print("NodePrepareResources, 1 device: p50 {:.2f} ms, p99 {:.2f} ms\n",
               quantile(prepares, 0.5), quantile(prepares, 0.99));
    fmt::print("NodeUnprepareResources, 1 device: p50 {:.2f} ms, p99 {:.2f} ms\n",
               quantile(unprepares, 0.5), quantile(unprepares, 0.99));
    fmt::print("NodePrepareResources, {} claims: p50 {:.1f} ms, worst {:.1f} ms\n", kDevices,
               quantile(batches, 0.5), quantile(batches, 1));
    fmt::print("a file replaced and synced on that disk: p50 {:.2f} ms\n", raw_sync_ms(folder));
    fmt::print("memory with {} devices prepared: {:.1f} MB, of which anonymous {:.1f} MB\n",
               kDevices, static_cast<double>(rss_kib(child, "VmRSS")) / 1000,
               static_cast<double>(rss_kib(child, "RssAnon")) / 1000);
}

}  // namespace

int main(int argc, char** argv) {
    std::error_code ignored;
    const std::string program =
        argc > 1
            ? argv[1]
            : (fs::read_symlink("/proc/self/exe", ignored).parent_path() / "mimic-dra").string();
    std::string folder = std::string(argc > 2 ? argv[2] : "/var/tmp") + "/bench-dra-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) {
        std::perror(folder.c_str());
        return 1;
    }
    const auto& facts = *mimic::devices::all_dra().front();
    fs::create_directories(folder + "/kubelet/plugins_registry");
    const auto cdi = cdi_dir();
    fs::create_directories(cdi);
    make_devices(folder + "/root", facts);
    {
        mimic::kube::testing::FakeApi server;
        make_claims(server, facts);
        write_kubeconfig(folder + "/kubeconfig", *server.config());
        const pid_t child = start(program, folder);
        measure(folder, facts, child);
        ::kill(child, SIGTERM);
        ::waitpid(child, nullptr, 0);
    }
    fs::remove_all(folder, ignored);
    fs::remove_all(cdi, ignored);
    return 0;
}
