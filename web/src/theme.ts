// SPDX-License-Identifier: Apache-2.0
// Dark, light, or what the system prefers; remembered.
import { setText } from "./dom";

const kThemes = ["system", "light", "dark"];
const kKey = "mimic-theme";

export function setUpTheme(button: HTMLElement): void {
    const apply = (theme: string) => {
        if (theme === "system") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = theme;
        setText(button, `Theme: ${theme}`);
    };
    let theme = localStorage.getItem(kKey) ?? "system";
    if (!kThemes.includes(theme)) theme = "system";
    apply(theme);
    button.addEventListener("click", () => {
        theme = kThemes[(kThemes.indexOf(theme) + 1) % kThemes.length]!;
        localStorage.setItem(kKey, theme);
        apply(theme);
    });
}
