// SPDX-License-Identifier: Apache-2.0
#include "cluster/programs.h"

#include <unistd.h>

#include <filesystem>
#include <map>

#include "guest_image/guest_image.h"
#include "guest_image/host_tool.h"

namespace mimic::cluster {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManyInOne = "kube";

bool is_program(const std::string& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

/// Folder of a part of tools/kube, which builds it if it is new.
Result<std::string> built(const std::string& part) {
    MIMIC_ASSIGN_OR_RETURN(const auto tool, guest_image::find_support_file("tools/kube"));
    return guest_image::run_tool({tool, part}, true);
}

/// The folder that the user names, absolute, or the built one.
Result<std::string> folder_of(const std::string& named, const std::string& part) {
    if (named.empty()) return built(part);
    std::error_code error;
    const fs::path real = fs::canonical(named, error);
    if (error) return tl::unexpected<Error>(Error::from_errno(error.value(), named));
    return real.string();
}

Status add_program(const std::string& folder, const std::string& name, Programs& programs) {
    MIMIC_ASSIGN_OR_RETURN(const Command found, find_program(folder, name));
    // A program for all of them knows by its own name what it is asked for.
    programs.node.push_back({found.front(), "/k8s/bin/" + name});
    // For people: the guest's own PATH has no /k8s.
    if (name == "ctr") programs.node.push_back({found.front(), "/usr/bin/ctr"});
    return {};
}

Status add_images(const ProgramOptions& options, Programs& programs) {
    // The sandbox of each pod, and a shell for first steps.
    MIMIC_ASSIGN_OR_RETURN(const std::string images, built("images"));
    for (const char* name : {"pause.tar", "busybox.tar"})
        programs.node.push_back({images + "/" + name, fmt::format("/k8s/images/{}", name)});
    std::map<std::string, std::string> places;
    for (const std::string& image : options.images) {
        std::error_code error;
        const fs::path real = fs::canonical(image, error);
        if (error) return tl::unexpected<Error>(Error::from_errno(error.value(), image));
        const std::string place = "/k8s/images/" + fs::path(image).filename().string();
        for (const NodeFile& file : programs.node)
            if (file.node == place)
                return fail(std::errc::invalid_argument, "two images are called {}: {} and {}",
                            fs::path(image).filename().string(), file.host, image);
        programs.node.push_back({real.string(), place});
    }
    return {};
}

}  // namespace

Result<Command> find_program(const std::string& folder, const std::string& name) {
    if (is_program(folder + "/" + name)) return Command{folder + "/" + name};
    const std::string all = fmt::format("{}/{}", folder, kManyInOne);
    if (is_program(all)) return Command{all, name};
    return fail(std::errc::no_such_file_or_directory,
                "there is no program {} (nor one for all, {}) in {}", name, kManyInOne, folder);
}

Result<Programs> find_programs(const ProgramOptions& options) {
    Programs programs;
    programs.of_user = !options.kubernetes.empty();
    MIMIC_ASSIGN_OR_RETURN(const std::string kubernetes, folder_of(options.kubernetes, "kube"));
    MIMIC_ASSIGN_OR_RETURN(programs.api_server, find_program(kubernetes, "kube-apiserver"));
    MIMIC_ASSIGN_OR_RETURN(programs.controller_manager,
                           find_program(kubernetes, "kube-controller-manager"));
    MIMIC_ASSIGN_OR_RETURN(programs.scheduler, find_program(kubernetes, "kube-scheduler"));
    // For people; ours is as good.
    if (auto kubectl = find_program(kubernetes, "kubectl")) programs.kubectl = std::move(*kubectl);
    auto etcd = find_program(kubernetes, "etcd");
    if (!etcd) {
        MIMIC_ASSIGN_OR_RETURN(const std::string ours, built("kube"));
        etcd = find_program(ours, "etcd");
    }
    if (!etcd) return tl::unexpected(std::move(etcd).error());
    programs.etcd = std::move(*etcd);
    MIMIC_TRY(add_program(kubernetes, "kubelet", programs));

    MIMIC_ASSIGN_OR_RETURN(const auto containerd, folder_of(options.containerd, "containerd"));
    for (const char* name : {"containerd", "containerd-shim-runc-v2", "ctr"})
        MIMIC_TRY(add_program(containerd, name, programs));
    if (options.runc.empty()) {
        MIMIC_ASSIGN_OR_RETURN(const std::string folder, built("runc"));
        MIMIC_TRY(add_program(folder, "runc", programs));
    } else {
        if (!is_program(options.runc))
            return fail(std::errc::no_such_file_or_directory, "{} is no program", options.runc);
        programs.node.push_back({options.runc, "/k8s/bin/runc"});
    }
    MIMIC_TRY(add_images(options, programs));
    return programs;
}

}  // namespace mimic::cluster
