// What is wrong with a page that is open: what axe-core finds, and whether it scrolls sideways.

/** Impacts that no page may have. */
export const SERIOUS = new Set(["serious", "critical"]);

/** Judges a page of Playwright's: `{ overflow, violations: [{ id, impact, help, nodes }] }`. */
export async function check(page, axe) {
  // Evaluated by the debugger, and so allowed whatever the page's policy says.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
  );
  return {
    overflow,
    violations: violations.map(({ id, impact, help, nodes }) => ({
      id, impact, help, nodes: nodes.map((node) => node.html),
    })),
  };
}
