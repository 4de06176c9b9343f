// Dark or light: as the system has it, until a person chooses.

const dark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = (name) => (document.documentElement.dataset.theme = name);
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
setTheme(/theme=(dark|light)/.exec(location.hash)?.[1] ?? (dark.matches ? "dark" : "light"));
document.getElementById("theme").addEventListener("click", () => {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
});
