// SPDX-License-Identifier: Apache-2.0
// The two files of the seed are YAML; every value in them is ours but the machine's name (an RFC
// 1123 label) and the public key (base64), so nothing needs quoting.
#include "guest_image/cloud_init.h"

#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include <archive.h>
#include <archive_entry.h>

#include "base/log.h"
#include "guest_image/cache_file.h"
#include "guest_image/host_tool.h"
#include "guest_image/initramfs.h"

namespace mimic::guest_image {
namespace {

/// Not "packages:", which reads the package lists at every first boot, also when the agent is
/// there.
constexpr std::string_view kStartAgent = R"(runcmd:
  - |
    command -v qemu-ga || {
      if command -v apt-get; then apt-get -q update && apt-get -q -y install qemu-guest-agent
      elif command -v dnf; then dnf -q -y install qemu-guest-agent
      elif command -v zypper; then zypper -q -n install qemu-guest-agent
      elif command -v apk; then apk -q add qemu-guest-agent
      fi
    }
    if command -v systemctl; then systemctl start qemu-guest-agent
    else service qemu-guest-agent start
    fi
)";

struct FreeWriter {
    void operator()(struct archive* archive) const { archive_free(archive); }
};
struct FreeHeader {
    void operator()(struct archive_entry* entry) const { archive_entry_free(entry); }
};

/// The machine's public key; empty if there is none to be had. Makes the pair when it is missing.
std::string public_key(const std::string& machine, const std::string& dir) {
    const std::string path = dir + "/ssh_key";
    if (::access(path.c_str(), F_OK) != 0) {
        const auto made = run_tool(
            {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mimic-" + machine, "-f", path},
            false);
        if (!made) {
            MIMIC_LOG("machine", kWarn, "No ssh key for {}: {}; install openssh-client for one",
                      machine, made.error().message());
            return {};
        }
    }
    Result<std::string> key = read_host_file(path + ".pub", 64u << 10);
    if (!key) {
        MIMIC_LOG("machine", kWarn, "No ssh key for {}: {}", machine, key.error().message());
        return {};
    }
    while (!key->empty() && key->back() == '\n') key->pop_back();
    return std::move(*key);
}

/// Shared folders, mounted at each boot. Not "mounts:", which waits for network file systems that
/// an image's kernel may not have.
std::string mount_shares(const std::vector<topology::Share>& shares) {
    if (shares.empty()) return {};
    std::string text = "bootcmd:\n  - |\n    modprobe -a 9pnet_virtio 9p || true\n";
    for (size_t i = 0; i < shares.size(); ++i)
        text += fmt::format(
            "    mkdir -p {0} && mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,{1} "
            "share{2} {0} || echo 'mimic: cannot mount a share at {0}' >/dev/console\n",
            shares[i].guest, shares[i].readonly ? "ro" : "rw", i);
    return text;
}

std::string user_data(const topology::Machine& described, const std::string& key) {
    const std::string& machine = described.name;
    std::string text = fmt::format("#cloud-config\nhostname: {}\n", machine);
    if (!key.empty()) {
        text += fmt::format("ssh_authorized_keys:\n  - {}\ndisable_root: false\n", key);
        text += fmt::format(
            "users:\n  - default\n  - name: root\n    ssh_authorized_keys:\n      - {}\n", key);
    }
    text += mount_shares(described.shares);
    text += kStartAgent;
    return text;
}

tl::unexpected<Error> seed_failed(struct archive* archive) {
    const int code = archive_errno(archive);
    if (code > 0) return tl::unexpected<Error>(Error::from_errno(code, "write the seed"));
    const char* const text = archive_error_string(archive);
    return fail(std::errc::io_error, "write the seed: {}",
                text != nullptr ? text : "no reason given");
}

Status add_file(struct archive* archive, const char* name, std::string_view text) {
    const std::unique_ptr<struct archive_entry, FreeHeader> entry(archive_entry_new());
    if (!entry) return fail(std::errc::not_enough_memory, "no memory for the seed");
    archive_entry_set_pathname(entry.get(), name);
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), 0, 0);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(text.size()));
    if (archive_write_header(archive, entry.get()) != ARCHIVE_OK ||
        archive_write_data(archive, text.data(), text.size()) !=
            static_cast<la_ssize_t>(text.size())) {
        return seed_failed(archive);
    }
    return {};
}

Status write_seed(int fd, const topology::Machine& described, const std::string& key) {
    const std::string& machine = described.name;
    const std::unique_ptr<struct archive, FreeWriter> archive(archive_write_new());
    if (!archive) return fail(std::errc::not_enough_memory, "no memory for the seed");
    // cloud-init finds the volume by its label; Joliet keeps the lower-case names with their
    // hyphens.
    if (archive_write_set_format_iso9660(archive.get()) != ARCHIVE_OK ||
        archive_write_set_options(archive.get(), "volume-id=cidata,joliet,rockridge") !=
            ARCHIVE_OK ||
        archive_write_open_fd(archive.get(), fd) != ARCHIVE_OK) {
        return seed_failed(archive.get());
    }
    MIMIC_TRY(add_file(archive.get(), "meta-data",
                       fmt::format("instance-id: mimic-{0}\nlocal-hostname: {0}\n", machine)));
    MIMIC_TRY(add_file(archive.get(), "user-data", user_data(described, key)));
    if (archive_write_close(archive.get()) != ARCHIVE_OK) {
        return seed_failed(archive.get());
    }
    return {};
}

}  // namespace

Result<std::string> make_cloud_init_seed(const topology::Machine& machine, const std::string& dir) {
    const std::string key = public_key(machine.name, dir);
    std::string path = dir + "/seed.iso";
    MIMIC_TRY(publish_file(path, [&](int fd) { return write_seed(fd, machine, key); }));
    return path;
}

}  // namespace mimic::guest_image
