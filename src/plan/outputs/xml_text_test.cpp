// SPDX-License-Identifier: Apache-2.0
#include "outputs/xml_text.h"

#include <gtest/gtest.h>

namespace mimic::outputs {
namespace {

TEST(XmlText, EscapesMarkupAndDropsWhatXmlCannotCarry) {
    EXPECT_EQ(escape_xml("<a b=\"c\" d='e'>&"), "&lt;a b=&quot;c&quot; d=&apos;e&apos;&gt;&amp;");
    EXPECT_EQ(escape_xml("Gr\xc3\xb6\xc3\x9f"), "Gr\xc3\xb6\xc3\x9f");
    EXPECT_EQ(escape_xml("a\x01"
                         "b\xff"),
              "a\xef\xbf\xbd"
              "b\xef\xbf\xbd");
    EXPECT_EQ(escape_xml("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // a surrogate
}

}  // namespace
}  // namespace mimic::outputs
