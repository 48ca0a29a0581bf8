import { createCaller, respond } from 'rowhouse/next'

export async function GET(request: Request) {
  return respond(() => createCaller(request).tasks.list({ status: 'pending' }))
}

export async function POST(request: Request) {
  const input = await request.json()
  return respond(() => createCaller(request).tasks.create(input))
}
