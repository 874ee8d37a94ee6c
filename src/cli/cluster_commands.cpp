// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster_commands.h"

#include <memory>
#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "cluster/cluster_supervisor.h"

namespace mimic::cli {
namespace {

using cluster::ClusterUpOptions;

void add_program_options(CLI::App& up, const std::shared_ptr<ClusterUpOptions>& options) {
    auto& programs = options->programs;
    up.add_option("--kubernetes", programs.kubernetes,
                  "Folder of your own kube-apiserver, kubelet, kubectl and the others, or of one "
                  "program kube for all (one that tools/kube builds)");
    up.add_option("--containerd", programs.containerd,
                  "Folder of containerd, its runc shim and ctr, static (one that tools/kube "
                  "builds)");
    up.add_option("--runc", programs.runc, "Static program (one that tools/kube builds)");
    up.add_option("--image", programs.images,
                  "Archive of a container image that each node has; may be repeated")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    up.add_option("--feature-gates", options->feature_gates,
                  "Of the control plane, A=true,B=false (DRADeviceTaintRules=true; none with "
                  "--kubernetes)");
    up.add_option("--runtime-config", options->runtime_config,
                  "APIs to switch on (resource.k8s.io/v1beta2=true; none with --kubernetes)");
}

void add_cluster_up(CLI::App& cluster, Action& action) {
    auto options = std::make_shared<ClusterUpOptions>();
    auto timeout = std::make_shared<unsigned>(600);
    auto* up = cluster.add_subcommand("up", "Start a Kubernetes whose nodes are a file's machines");
    up->add_option("FILE", options->file, "Topology file (YAML)")->required();
    up->add_option("--name", options->name, "Name of the cluster (mimic)");
    up->add_option("--machine", options->machine, "Only this machine");
    up->add_option("--memory", options->memory,
                   "Least memory of a node; machines with less get so much (1G)")
        ->transform(CLI::AsSizeValue(false))
        ->check(CLI::Range(uint64_t{512} << 20, uint64_t{1} << 40));
    up->add_option("--timeout", *timeout, "Seconds until all nodes must be ready (600)")
        ->check(CLI::Range(1u, 86400u));
    up->add_option("--kernel", options->kernel, "Kernel release in place of the file's")
        ->check(CLI::IsMember({"6.1", "6.12", "newest"}));
    up->add_option("--accel", options->accel, "tcg or kvm, in place of the file's")
        ->check(CLI::IsMember({"tcg", "kvm"}));
    up->add_flag("--allow-commands", options->allow_commands,
                 "Start the servers that the file names by 'command:'; it is your own");
    add_program_options(*up, options);
    up->callback([options, timeout, &action] {
        options->timeout = std::chrono::seconds(*timeout);
        action = [options] { return cluster::run_cluster_up(*options); };
    });
}

}  // namespace

void add_cluster_commands(CLI::App& app, Action& action) {
    auto* cluster = app.add_subcommand(
        "cluster", "A Kubernetes whose nodes are machines with devices: up, down");
    cluster->require_subcommand(1);
    add_cluster_up(*cluster, action);

    auto names = std::make_shared<std::vector<std::string>>();
    auto* down = cluster->add_subcommand("down",
                                         "End clusters (all without a name), nodes and all");
    down->add_option("NAME", *names, "Clusters");
    down->callback(
        [names, &action] { action = [names] { return cluster::run_cluster_down(*names); }; });

    auto dir = std::make_shared<std::string>();
    auto* supervise = cluster->add_subcommand("supervise", "Started by mimic cluster up");
    supervise->group("");  // hidden
    supervise->add_option("DIR", *dir)->required();
    supervise->callback(
        [dir, &action] { action = [dir] { return cluster::run_cluster_supervisor(*dir); }; });
}

}  // namespace mimic::cli
