/** The description of the API as one page, without a script: what is there is the same text as in openapi.json. */
import { errorCodes } from '#contract/errors.ts';
import { escapeHtml as escape, htmlPage } from '../http/html.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
  readonly 'x-access': string;
}

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
  const body = `<h1>Lockstep API ${escape(info.version)}</h1><p>${escape(info.description)}</p>
<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>
${sections.join('\n')}
<h2>Error codes</h2><dl>${errors.join('')}</dl>`;
  return htmlPage({ title: 'Lockstep API', body, nonce });
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
