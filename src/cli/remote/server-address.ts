import { AppError } from '#contract/errors.ts';

/** As an origin: `https://lockstep.example:8443`. Throws AppError REQUEST_INVALID, TLS_REQUIRED. */
export function parseServer(written: string): string {
  const url = URL.canParse(written) ? new URL(written) : null;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url === null || !isWeb || url.hostname === '')
    throw invalid(written, `Write it as https://${written.replace(/^[a-z]*:?\/\//i, '') || 'lockstep.example'}.`);
  if (url.username !== '' || url.password !== '')
    throw invalid('(with credentials)', 'Leave user name and password out; "lockstep login" asks for them.');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    throw invalid(written, `Leave out what comes after the host: ${url.origin}.`);
  if (url.protocol === 'http:' && !isLoopback(url.hostname))
    throw new AppError('TLS_REQUIRED', `${url.origin} is not encrypted: whoever listens would have the credentials`, {
      nextStep: 'Write https://. Without encryption only a server on this machine is talked to.',
    });
  return url.origin;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

function invalid(written: string, nextStep: string): AppError {
  return new AppError('REQUEST_INVALID', `"${written}" is no address of a server`, { nextStep });
}
