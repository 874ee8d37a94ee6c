// SPDX-License-Identifier: Apache-2.0
#include "page/assets.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace mimic::page {
namespace {

std::string file_of(const Asset& asset) {
    const std::string name = asset.path == "/" ? "/index.html" : std::string(asset.path);
    std::ifstream file(MIMIC_WEB_DIST + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

TEST(WebAssets, AreTheFilesOfDistByteForByte) {
    std::set<std::string_view> paths;
    for (const Asset& asset : web_assets()) {
        paths.insert(asset.path);
        EXPECT_FALSE(asset.content.empty()) << asset.path;
        EXPECT_EQ(asset.content, file_of(asset)) << asset.path;
    }
    EXPECT_EQ(paths,
              (std::set<std::string_view>{"/", "/401-api.html", "/401.html", "/404.html",
                                          "/421.html", "/app.js", "/icon.svg", "/style.css"}));
}

TEST(WebAssets, HaveTypesAndDistinctQuotedTags) {
    std::set<std::string_view> tags;
    for (const Asset& asset : web_assets()) {
        tags.insert(asset.etag);
        EXPECT_EQ(asset.etag.size(), 18u) << asset.etag;
        EXPECT_TRUE(asset.etag.starts_with('"') && asset.etag.ends_with('"')) << asset.etag;
        EXPECT_NE(asset.content_type.find('/'), std::string_view::npos) << asset.path;
    }
    EXPECT_EQ(tags.size(), web_assets().size());
}

// The policy forbids both, so a page that has them is broken.
TEST(WebAssets, HaveNoInlineScriptsOrStylesAndNameNoOtherServer) {
    for (const Asset& asset : web_assets()) {
        if (!asset.content_type.starts_with("text/html")) continue;
        EXPECT_EQ(asset.content.find("<style"), std::string_view::npos);
        EXPECT_EQ(asset.content.find(" style="), std::string_view::npos);
        EXPECT_EQ(asset.content.find(" onclick="), std::string_view::npos);
        EXPECT_EQ(asset.content.find("<script>"), std::string_view::npos);
        EXPECT_EQ(asset.content.find("://"), std::string_view::npos);
    }
}

}  // namespace
}  // namespace mimic::page
