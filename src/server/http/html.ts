/** Pages of our own, without a script: text from elsewhere is text in them. */

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff; }
h2 { margin-top: 3rem; } h3 { margin-bottom: 0; } code, pre { font-family: ui-monospace, monospace; font-size: 14px; }
pre { background: #f3f3f3; padding: 1rem; overflow-x: auto; } dt { font-weight: 600; } p { margin: .3rem 0; }
table { border-collapse: collapse; } th, td { border: 1px solid #999; padding: .2rem .6rem; text-align: left; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #161616; } pre { background: #222; } a { color: #8ab4f8; } }
@media print { body { margin: 0; max-width: none; color: #000; background: #fff; } h2 { margin-top: 1rem; break-after: avoid; } tr { break-inside: avoid; } }
`;

/** `body` is HTML already; the title is text. */
export function htmlPage({
  title,
  body,
  nonce,
}: {
  readonly title: string;
  readonly body: string;
  readonly nonce: string;
}): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<meta name="viewport" content="width=device-width"><style nonce="${nonce}">${STYLE}</style></head>
<body>${body}
</body></html>
`;
}
