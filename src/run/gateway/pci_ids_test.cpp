// SPDX-License-Identifier: Apache-2.0
#include "gateway/pci_ids.h"

#include <gtest/gtest.h>

#include <fstream>

#include "gateway/gateway.h"
#include "gateway/test_hosts.h"

namespace mimic::gateway {
namespace {

using nlohmann::json;

constexpr std::string_view kDatabase =
    "# List of PCI ID's\n"
    "\n"
    "1af4  Red Hat, Inc.\n"
    "\t1000  Virtio network device\n"
    "\t\t01de fffb  A subsystem\n"
    "8086  Intel Corporation\n"
    "\t28c0  Volume Management Device NVMe RAID Controller\r\n"
    "\t28c\n"
    "\tzzzz  No number\n"
    "8087  Intel, too\n"
    "C 01  Mass storage controller\n"
    "\t08  Non-Volatile memory controller\n"
    "\t\t02  NVM Express\n"
    "C 12  Processing accelerators\n"
    "\t00  Processing accelerators\n"
    "S 01  What a later format may bring\n"
    "\t08  Not of a class\n"
    "C 40  Copro\x01\x7f"
    "cessor";

TEST(PciIds, FillsInWhatIsAskedAndNothingElse) {
    PciNames names;
    names.ids[{0x8086, 0x28c0}];
    names.ids[{0x8086, 0x0001}];
    names.ids[{0x1af4, 0x1000}];
    names.ids[{0xffff, 0xffff}];
    for (const uint32_t code : {0x010802u, 0x0108ffu, 0x120000u, 0x400000u, 0xff0000u})
        names.classes[code];
    look_up_pci_names(kDatabase, names);
    EXPECT_EQ(names.ids.size(), 4u);
    EXPECT_EQ((names.ids[{0x8086, 0x28c0}].device),
              "Volume Management Device NVMe RAID Controller");
    EXPECT_EQ((names.ids[{0x8086, 0x0001}].vendor), "Intel Corporation");
    EXPECT_EQ((names.ids[{0x8086, 0x0001}].device), "");
    EXPECT_EQ((names.ids[{0x1af4, 0x1000}].device), "Virtio network device");
    EXPECT_EQ((names.ids[{0xffff, 0xffff}].vendor), "");
    EXPECT_EQ(names.classes[0x010802].base, "Mass storage controller");
    EXPECT_EQ(names.classes[0x010802].sub, "Non-Volatile memory controller");
    EXPECT_EQ(names.classes[0x010802].interface, "NVM Express");
    EXPECT_EQ(names.classes[0x0108ff].interface, "");
    EXPECT_EQ(names.classes[0x120000].sub, "Processing accelerators");
    EXPECT_EQ(names.classes[0x400000].base, "Coprocessor");  // without control characters
    EXPECT_EQ(names.classes[0xff0000].base, "");
}

TEST(PciIds, SurvivesWhatIsNoDatabase) {
    for (const std::string& text :
         {std::string(), std::string("\t"), std::string("\t\t01  x"), std::string(4096, '\xff'),
          std::string("C 1"), std::string("C zz  x\n\t01  y"),
          std::string("8086  ") + std::string(100'000, 'a')}) {
        PciNames names;
        names.ids[{0x8086, 0x28c0}];
        names.classes[0x010802];
        look_up_pci_names(text, names);
        EXPECT_LE((names.ids[{0x8086, 0x28c0}].vendor.size()), 200u);
        EXPECT_EQ(names.classes[0x010802].base, "");
    }
}

class PciIdsRoute : public testing::Test {
protected:
    json ask(const std::string& query, int status = 200) {
        Gateway::Options options;
        options.pci_ids = {folder / "missing", folder / "pci.ids"};
        const auto gateway = std::move(Gateway::create(options).value());
        service::HttpRequest request{"GET", "/v1/pci-ids", "", ""};
        for (size_t at = 0; at < query.size();) {
            const size_t end = std::min(query.find('&', at), query.size());
            const std::string pair = query.substr(at, end - at);
            request.query.emplace(pair.substr(0, pair.find('=')), pair.substr(pair.find('=') + 1));
            at = end + 1;
        }
        const auto answer = gateway->handle(request);
        EXPECT_EQ(answer.status, status) << query << answer.body;
        return json::parse(answer.body);
    }

    TestFolder folder;
};

TEST_F(PciIdsRoute, AnswersWithNamesOrNulls) {
    const std::string query = "id=8086:28C0&id=dead:beef&class=120000";
    EXPECT_EQ(ask(query)["file"], nullptr);
    EXPECT_EQ(ask(query)["ids"][0],
              (json{{"id", "8086:28c0"}, {"vendor", nullptr}, {"device", nullptr}}));
    std::ofstream(folder / "pci.ids") << kDatabase;
    const json answer = ask(query);
    EXPECT_EQ(answer["file"], folder / "pci.ids");
    EXPECT_EQ(answer["ids"][0]["vendor"], "Intel Corporation");
    EXPECT_EQ(answer["ids"][1]["vendor"], nullptr);
    EXPECT_EQ(answer["classes"][0]["base"], "Processing accelerators");
    EXPECT_EQ(ask("")["ids"], json::array());
}

TEST_F(PciIdsRoute, RefusesWhatIsNoId) {
    for (const char* query :
         {"id=", "id=8086", "id=8086:", "id=8086:28c", "id=8086:28c00", "id=8086-28c0",
          "id=8086:28cg", "id=+086:28c0", "class=12", "class=0x1200", "class=12000000", "ids=1"})
        EXPECT_EQ(ask(query, 400)["error"]["code"], "bad_request") << query;
}

}  // namespace
}  // namespace mimic::gateway
