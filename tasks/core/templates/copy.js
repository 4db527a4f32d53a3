for (const button of document.querySelectorAll(".copy")) {
  const code = button.previousElementSibling, label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(code);
    const written = await navigator.clipboard?.writeText(code.textContent).then(() => true, () => false);
    button.textContent = written || document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}
