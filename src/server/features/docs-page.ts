/** The description of the API as one page, without a script: what is there is the same text as in openapi.json. */
import { errorCodes } from '#contract/errors.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
  readonly 'x-access': string;
}

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff; }
h2 { margin-top: 3rem; } h3 { margin-bottom: 0; } code, pre { font-family: ui-monospace, monospace; font-size: 14px; }
pre { background: #f3f3f3; padding: 1rem; overflow-x: auto; } dt { font-weight: 600; } p { margin: .3rem 0; }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #161616; } pre { background: #222; } a { color: #8ab4f8; } }
`;

export function docsPage(document: Record<string, unknown>, nonce: string): string {
  const { info, tags, paths } = document as {
    info: { version: string; description: string };
    tags: readonly { name: string; description: string }[];
    paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const sections = tags.map(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name));
    return `<section><h2 id="${escape(name)}">${escape(description)}</h2>${own.map(section).join('')}</section>`;
  });
  const errors = Object.entries(errorCodes).flatMap(([code, { http, meaning }]) =>
    http === null ? [] : [`<dt id="${code}"><code>${code}</code> (${http})</dt><dd>${escape(meaning)}</dd>`],
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Lockstep API</title>
<meta name="viewport" content="width=device-width"><style nonce="${nonce}">${STYLE}</style></head>
<body><h1>Lockstep API ${escape(info.version)}</h1><p>${escape(info.description)}</p>
<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>
${sections.join('\n')}
<h2>Error codes</h2><dl>${errors.join('')}</dl>
</body></html>
`;
}

function section({ path, method, operation }: { path: string; method: string; operation: Operation }): string {
  const parameters = operation.parameters.map(
    ({ name, in: place, required }) => `<code>${escape(name)}</code> (${place}${required ? '' : ', optional'})`,
  );
  const responses = Object.entries(operation.responses).map(
    ([status, { description }]) => `<p>${status}: ${escape(description)}</p>`,
  );
  const body = operation.requestBody
    ? `<details><summary>Body</summary><pre>${escape(JSON.stringify(schemaOf(operation.requestBody), null, 2))}</pre></details>`
    : '';
  return `<h3 id="${escape(operation.operationId)}"><code>${method} ${escape(path)}</code></h3>
<p>${escape(operation.summary)}</p><p>${escape(operation['x-access'])}.</p>
${parameters.length > 0 ? `<p>Takes ${parameters.join(', ')}.</p>` : ''}${body}<details><summary>Answers</summary>${responses.join('')}</details>`;
}

function schemaOf(body: unknown): unknown {
  return (body as { content: Record<string, { schema: unknown }> }).content['application/json']?.schema;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
