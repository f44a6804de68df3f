import * as React from 'react'
import { createRoot } from 'react-dom/client'
import { Alert, Avatar, Badge, Breadcrumb, Button, Card, Checkbox, Col, DatePicker, Form, Input, Layout, List, Menu, Pagination, Progress, Radio, Row, Select, Space, Statistic, Steps, Switch, Table, Tabs, Tag, Tooltip, Typography } from 'antd'

const rows = [...Array(10).keys()].map((key) => ({ key, name: `Order ${key}`, total: key * 3.5, state: 'paid' }))
const columns = [{ title: 'Name', dataIndex: 'name' }, { title: 'Total', dataIndex: 'total' }, { title: 'State', dataIndex: 'state', render: (state) => <Tag color="green">{state}</Tag> }]

function App() {
  return (
    <Layout>
      <Layout.Header><Menu theme="dark" mode="horizontal" defaultSelectedKeys={['1']} items={[{ key: '1', label: 'Overview' }, { key: '2', label: 'Orders' }]} /></Layout.Header>
      <Layout.Content>
        <Breadcrumb items={[{ title: 'Home' }, { title: 'Orders' }]} /><Alert message="Your changes were saved." type="success" showIcon closable />
        <Row gutter={16}>{[1, 2, 3].map((i) => <Col span={8} key={i}><Card title="Today"><Statistic title="Orders" value={i * 170} /><Progress percent={i * 30} /></Card></Col>)}</Row>
        <Tabs items={[{ key: 'a', label: 'General', children: <Table columns={columns} dataSource={rows} pagination={{ pageSize: 5 }} /> }, { key: 'b', label: 'Team', children: 'Nobody' }]} />
        <Form layout="vertical"><Form.Item label="Name" required><Input placeholder="Name" /></Form.Item><Form.Item label="Plan"><Select options={[{ value: 'a', label: 'Free' }]} defaultValue="a" /></Form.Item><Form.Item label="Date"><DatePicker /></Form.Item><Checkbox>Remember me</Checkbox><Switch /><Radio>One</Radio><Space><Button type="primary">Save</Button><Button>Cancel</Button></Space></Form>
        <Steps current={1} items={[{ title: 'Cart' }, { title: 'Payment' }, { title: 'Done' }]} /><List dataSource={['Inbox', 'Sent']} renderItem={(name) => <List.Item><List.Item.Meta avatar={<Avatar>{name[0]}</Avatar>} title={name} description="January" /></List.Item>} />
        <Badge count={5}><Avatar shape="square" /></Badge><Tooltip title="Help"><Typography.Text type="secondary">Help</Typography.Text></Tooltip><Pagination total={50} />
      </Layout.Content>
    </Layout>
  )
}
createRoot(document.getElementById('root')).render(<App />)
