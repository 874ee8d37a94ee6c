// SPDX-License-Identifier: Apache-2.0
// Paths with names in them, and what routes ask of queries and bodies.
#include "service/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mimic::service {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RouterTest : public testing::Test {
protected:
    RouterTest() {
        for (const char* path : {"/a", "/a/{x}", "/a/{x}/b/{y}", "/a/{x}/b"})
            router.add({"GET", path}, [this, path](const HttpRequest&, const PathNames& found) {
                hit = path;
                names = found;
                return HttpResponse{};
            });
    }
    int ask(const std::string& path) {
        hit.clear();
        return router.handle({"GET", path, "", ""}).status;
    }

    Router router;
    std::string hit;
    PathNames names;
};

TEST_F(RouterTest, FindsTheRouteAndItsNames) {
    EXPECT_EQ(ask("/a"), 200);
    EXPECT_EQ(hit, "/a");
    EXPECT_EQ(ask("/a/one/b/two words"), 200);
    EXPECT_EQ(hit, "/a/{x}/b/{y}");
    EXPECT_THAT(names, ElementsAre("one", "two words"));
    EXPECT_EQ(ask("/a/b/b"), 200);
    EXPECT_THAT(names, ElementsAre("b"));
}

TEST_F(RouterTest, NothingElseMatches) {
    for (const char* path : {"", "a", "/", "/a/", "//", "/a//b", "/a/x/", "/a/x/b/", "/a/x/c",
                             "/a/x/b/y/z", "/b", "/{x}", "/a/x/b/y/"})
        EXPECT_EQ(ask(path), 404) << path;
}

// Not left to handlers: one may hand the body on as what it is not.
TEST_F(RouterTest, BodyOfAnotherTypeReachesNoHandler) {
    for (const char* type :
         {"text/plain", "application/x-www-form-urlencoded",
          "multipart/form-data; boundary=application/json", "application/jsonx"}) {
        hit.clear();
        EXPECT_EQ(router.handle({"GET", "/a", type, "{}"}).status, 415) << type;
        EXPECT_EQ(hit, "");
    }
    for (const char* type : {"", "application/json", "application/json; charset=utf-8"})
        EXPECT_EQ(router.handle({"GET", "/a", type, "{}"}).status, 200) << type;
    EXPECT_EQ(router.handle({"GET", "/a", "text/plain", ""}).status, 200) << "there is no body";
}

TEST(Query, UnknownAndRepeatedParameters) {
    HttpRequest request;
    request.query = {{"since", "7"}, {"device", "a"}, {"device", "b"}};
    EXPECT_TRUE(only_parameters(request, {"since"}, {"device"}));
    const auto unknown = only_parameters(request, {"sinse"}, {"device"});
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().status, 400);
    EXPECT_THAT(unknown.error().message, HasSubstr("\"since\"; did you mean sinse?"));
    const auto twice = only_parameters(request, {"since", "device"});
    ASSERT_FALSE(twice);
    EXPECT_THAT(twice.error().message, HasSubstr("\"device\" is there twice"));
}

TEST(Query, Numbers) {
    HttpRequest request;
    request.query = {{"good", "18446744073709551615"},
                     {"far", "18446744073709551616"},
                     {"signed", "-1"},
                     {"tail", "7x"},
                     {"empty", ""}};
    EXPECT_EQ(*number_parameter(request, "good", UINT64_MAX), UINT64_MAX);
    EXPECT_FALSE(*number_parameter(request, "none", 9));
    for (const char* name : {"far", "signed", "tail", "empty"}) {
        const auto number = number_parameter(request, name, UINT64_MAX);
        ASSERT_FALSE(number) << name;
        EXPECT_THAT(number.error().message, HasSubstr(name));
    }
    EXPECT_FALSE(number_parameter(request, "good", 5));
}

TEST(Body, MustBeAnObject) {
    EXPECT_EQ(json_object({"PUT", "/", "text/plain", "{}"}).error().status, 415);
    EXPECT_EQ(json_object({"PUT", "/", "", "{"}).error().code, "bad_json");
    EXPECT_EQ(json_object({"PUT", "/", "", "[]"}).error().code, "bad_request");
    const auto body = json_object({"PUT", "/", "application/json", R"({"a": 1, "bc": 2})"});
    ASSERT_TRUE(body);
    EXPECT_TRUE(only_members(*body, {"bc", "a"}));
    EXPECT_THAT(only_members(*body, {"code", "a"}).error().message, HasSubstr("no member \"bc\""));
}

}  // namespace
}  // namespace mimic::service
