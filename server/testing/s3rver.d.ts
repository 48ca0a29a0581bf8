// The types of the functions that tests use; the package has none.
declare module 's3rver' {
  import type { RequestListener } from 'node:http'

  interface Options {
    address: string
    port: number
    silent: boolean
    directory: string
    configureBuckets: { name: string; configs: string[] }[]
  }

  class S3rver {
    constructor(options: Options)
    configureBuckets(): Promise<unknown>
    callback(): RequestListener
  }

  export = S3rver
}
