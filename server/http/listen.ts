import type { FastifyInstance } from 'fastify'

interface Address {
  readonly host: string
  readonly port: number
}

/** Listens, or throws an error that names the variable to change. */
export async function listen(app: FastifyInstance, { host, port }: Address): Promise<string> {
  try {
    const url = await app.listen({ host, port })
    // Every address of this machine, and none that a browser could open.
    return url.replace('//[::]', '//localhost')
  } catch (error) {
    const problem = problemOf(error, { host, port })
    throw problem === null ? error : new Error(problem, { cause: error })
  }
}

function problemOf(error: unknown, { host, port }: Address): string | null {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'EADDRINUSE':
      return `PORT ${port} of ${host} is in use by another process: stop it, or choose another. Example: PORT=3001`
    case 'EACCES':
      return `PORT ${port} is not for this user: choose one from 1024 on. Example: PORT=3000`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST "${host}" is no address of this machine. Example: HOST=127.0.0.1`
    default:
      return null
  }
}
