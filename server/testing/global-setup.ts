import type { TestProject } from 'vitest/node'
import { openTestServer, type TestServer } from './test-server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    testServer: TestServer
  }
}

let close: (() => Promise<void>) | undefined

export async function setup(project: TestProject): Promise<void> {
  const opened = await openTestServer()
  close = opened.close
  project.provide('testServer', opened.server)
}

export async function teardown(): Promise<void> {
  await close?.()
}
