/** The routes as an OpenAPI 3.1 document. Made from the same data as the server, so it cannot say something else. */
import { z } from 'zod';
import { errorCodes, type ErrorCode } from '../errors.ts';
import { problemSchema } from './common.ts';
import { examples } from './examples.ts';
import { errorsOf, tags, type Answer, type Route } from './route.ts';
import { liveEventSchema } from './routes/watching.ts';
import { operationIds, routeOf, type OperationId } from './routes.ts';

type Json = Record<string, unknown>;

const COMPONENTS = '#/components/schemas/';

export function openApiDocument(version: string): Json {
  const components: Json = {};
  const paths: Record<string, Json> = {};
  for (const id of operationIds) {
    const route = routeOf(id);
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[route.method.toLowerCase()] = operationOf(id, route, components);
  }
  const problem = schemaOf(problemSchema, 'output', components);
  components['Problem'] ??= problem;
  schemaOf(liveEventSchema, 'output', components); // what the streams send, which is no body of an answer
  return {
    openapi: '3.1.0',
    info: {
      title: 'Lockstep',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Errors are problem documents (RFC 9457) whose code is one of docs/errors.md. Field names of the systems that Lockstep replaces are accepted beside its own (docs/api-names.md).',
    },
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: components,
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: '__Host-lockstep-session' },
        token: { type: 'http', scheme: 'bearer' },
      },
    },
  };
}

function operationOf(id: OperationId, route: Route, components: Json): Json {
  const example = examples[id];
  return {
    operationId: id,
    tags: [route.tag],
    summary: route.summary,
    security: route.access.kind === 'public' ? [] : [{ session: [] }, { token: [] }],
    ...accessNotes(route),
    parameters: [
      ...fieldsOf(route.params, 'path', components),
      ...fieldsOf(route.query, 'query', components),
      ...headersOf(route),
    ],
    ...(route.body
      ? {
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: schemaOf(route.body, 'input', components),
                ...(example === undefined ? {} : { example }),
              },
            },
          },
        }
      : {}),
    responses: { ...successOf(route, components), ...problemsOf(errorsOf(route)) },
  };
}

/** For people, and for tests that walk through the document. */
function accessNotes({ access, needsStepUp, audit }: Route): Json {
  const who =
    access.kind === 'public'
      ? { 'x-access': `Open to everybody. ${access.why}` }
      : access.kind === 'signed-in'
        ? { 'x-access': 'Whoever is signed in' }
        : { 'x-access': `Permission ${access.permission}`, 'x-permission': access.permission };
  return { ...who, ...(needsStepUp ? { 'x-step-up': true } : {}), ...(audit === null ? {} : { 'x-audit': audit }) };
}

function headersOf({ isRepeatable, hasVersion, method }: Route): Json[] {
  const header = (name: string, description: string, schema: Json = {}): Json => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string', ...schema },
  });
  return [
    ...(isRepeatable
      ? [
          header('Idempotency-Key', 'A repeated call with the same key gets the answer of the first, for 24 hours', {
            pattern: '^[!-~]{1,200}$',
          }),
        ]
      : []),
    ...(hasVersion && method === 'GET' ? [header('If-None-Match', 'Answers 304 where nothing has changed')] : []),
    ...(hasVersion && method !== 'GET' ? [header('If-Match', 'The ETag of what the caller has seen')] : []),
  ];
}

function fieldsOf(schema: z.ZodType | undefined, place: 'path' | 'query', components: Json): Json[] {
  if (!schema) return [];
  const object = schemaOf(schema, 'input', components);
  const required = (object['required'] as string[] | undefined) ?? [];
  return Object.entries((object['properties'] as Json | undefined) ?? {}).map(([name, field]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: field,
  }));
}

function successOf({ answer, hasVersion, method, path }: Route, components: Json): Json {
  const content = contentOf(answer, components);
  const headers = hasVersion ? { headers: { ETag: { schema: { type: 'string' } } } } : {};
  const links = linksOf(answer, path);
  const success = {
    [answer.status]: {
      description: SUCCESS[answer.kind],
      ...headers,
      ...(content === null ? {} : { content }),
      ...(links === null ? {} : { links }),
    },
  };
  return hasVersion && method === 'GET' ? { ...success, 304: { description: 'Nothing has changed' } } : success;
}

/** Of an answer that says what was made: the routes that lead to it, `/…/users/:username` from `/…/users`. */
function linksOf(answer: Answer, path: string): Json | null {
  if (answer.kind !== 'json' || answer.status !== 201) return null;
  const isList = answer.schema instanceof z.ZodArray;
  const made = isList ? answer.schema.element : answer.schema;
  if (!(made instanceof z.ZodObject)) return null;
  const collection = path.split('/').at(-1) ?? '';
  const links = operationIds.flatMap((operationId) => {
    const [, name] = new RegExp(`/${collection}/:(\\w+)(?:/[\\w/-]+)?$`).exec(routeOf(operationId).path) ?? [];
    const field = [name, 'id'].find((each) => each !== undefined && Object.hasOwn(made.shape, each));
    if (name === undefined || field === undefined) return [];
    const parameters = { [name]: `$response.body#/${isList ? '0/' : ''}${field}` };
    return [[operationId, { operationId, parameters }]];
  });
  return links.length === 0 ? null : Object.fromEntries(links);
}

const SUCCESS = {
  json: 'Done',
  empty: 'Done',
  text: 'The document',
  file: 'The file',
  redirect: 'Leads on',
  stream: 'Events, until one side ends it',
} as const satisfies Record<Answer['kind'], string>;

function contentOf(answer: Answer, components: Json): Json | null {
  switch (answer.kind) {
    case 'json':
      return { 'application/json': { schema: schemaOf(answer.schema, 'output', components) } };
    case 'text':
    case 'file':
    case 'stream': {
      const media = answer.media.replace(/;.*/, '');
      // Of a document in them, not of its text, is what a schema would be read.
      const isDocument = /\b(?:json|yaml)$/.test(media);
      return { [media]: { schema: isDocument ? {} : { type: 'string' } } };
    }
    case 'empty':
    case 'redirect':
      return null;
  }
}

function problemsOf(codes: readonly ErrorCode[]): Json {
  const byStatus = Map.groupBy(new Set(codes), (code) => errorCodes[code].http ?? 500);
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.join(', '),
        content: { 'application/problem+json': { schema: { $ref: `${COMPONENTS}Problem` } } },
      },
    ]),
  );
}

/** What has an id becomes a component; `$schema` belongs to documents of their own. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output', components: Json): Json {
  const made = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline', cycles: 'ref' }) as Json;
  const { $schema: _, $defs: definitions, ...own } = relinked(made) as Json;
  for (const [name, definition] of Object.entries((definitions as Json | undefined) ?? {})) {
    const { id: _id, ...rest } = definition as Json;
    components[name] = rest;
  }
  const { id: name, ...rest } = own;
  if (typeof name !== 'string') return own;
  components[name] = rest;
  return { $ref: `${COMPONENTS}${name}` };
}

function relinked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relinked);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string' ? inner.replace('#/$defs/', COMPONENTS) : relinked(inner),
    ]),
  );
}
